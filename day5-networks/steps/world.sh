#!/bin/sh
# A small world for the steps of this chapter: one network namespace plays the machine, another its neighbour on the
# LAN. Bridges, rules and switches such as ip_forward belong to a network namespace. So whatever the steps change, they
# change here: the machine's own network is never touched, a mistake cuts no connection, and at the end all is gone.
# Run: sh day5-networks/steps/world.sh [-boxes] [COMMAND...], as root; without a command: a shell
#
#   lan0         the card of what plays the machine: 192.0.2.1/24
#   lan          the neighbour, 192.0.2.2: ip netns exec lan COMMAND
#   -boxes       also what step 1 makes: bridge0, 10.0.0.1/24, with the boxes web, 10.0.0.2, and db, 10.0.0.3
#
# On port 80 of lan, and of web, a server greets whoever asks: http://192.0.2.2
set -eu
if [ -z "${WORLD-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "world.sh: only root may make network namespaces: run it as root" >&2; exit 125; }
	for tool in ip nft busybox unshare; do
		command -v "$tool" >/dev/null || { echo "world.sh: there is no $tool: see scripts/doctor.sh" >&2; exit 125; }
	done
	# With --kill-child no process outlives the world, and with the last one go its namespaces and mounts.
	WORLD=new exec unshare --net --mount --pid --mount-proc --fork --kill-child sh "$0" "$@"
fi
# ip netns keeps its names in /run/netns, and mounts what is in /etc/netns/NAME over /etc. So this world has a /run and
# an /etc of its own.
mount -t tmpfs tmpfs /run
mkdir -p /run/upper /run/work /run/www/cgi-bin
mount -t overlay etc -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
rm -f /etc/resolv.conf
echo "nameserver 192.0.2.2" >/etc/resolv.conf
cat >/run/www/cgi-bin/index.cgi <<'CGI'
#!/bin/sh
echo
echo "hello, ${REMOTE_ADDR#[::ffff:}" | tr -d ]
CGI
chmod +x /run/www/cgi-bin/index.cgi

# A new network namespace has the settings of the machine's first one, and where Docker runs that forwards: ip-sysctl,
# devconf_inherit_init_net. This world begins as a machine that does not.
echo 0 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
ip netns add lan
ip link add lan0 type veth peer name lan0 netns lan
ip address add 192.0.2.1/24 dev lan0
ip link set lan0 up
ip -n lan address add 192.0.2.2/24 dev lan0
ip -n lan link set lan0 up
ip -n lan link set lo up
# A cable with two ends that are up still loses packets until a worker of the kernel has noticed. operstates.rst
await() { for link; do until ip link show "$link" | grep -q 'state UP'; do sleep 0.1; done; done; }
await lan0
ip netns exec lan busybox httpd -p 80 -h /run/www

if [ "${1-}" = -boxes ]; then
	shift
	ip link add bridge0 type bridge
	ip address add 10.0.0.1/24 dev bridge0
	ip link set bridge0 up
	for box in web:2 db:3; do
		name=${box%:*} address=10.0.0.${box#*:}
		ip netns add "$name"
		ip link add "$name" type veth peer name eth0 netns "$name"
		ip link set "$name" master bridge0 up
		ip -n "$name" link set lo up
		ip -n "$name" address add "$address/24" dev eth0
		ip -n "$name" link set eth0 up
		ip -n "$name" route add default via 10.0.0.1
	done
	await web db bridge0
	ip netns exec web busybox httpd -p 80 -h /run/www
fi
export WORLD=made
[ $# -gt 0 ] || set -- "${SHELL:-sh}"
exec "$@"
