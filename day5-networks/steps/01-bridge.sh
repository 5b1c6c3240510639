#!/bin/sh
# Step 1. New: network namespaces: a cable between two of them, veth, and a switch for more than two, a bridge.
# Run: sh day5-networks/steps/01-bridge.sh, as root
# Still wrong: the boxes reach each other and the machine, and nobody else.
. "$(dirname "$0")/lib.sh"
# What plays the machine is itself a network namespace: world.sh says why.
[ "${WORLD-}" ] || exec sh "$(dirname "$0")/world.sh" sh "$0"

# A new network namespace has nothing but a loopback device, and that is down. network_namespaces(7)
show 'ip netns add web; ip netns exec web ip -brief link'

# A veth device is one end of a cable, and whatever is sent into one end comes out of the other. One end stays here,
# the other is made in the box and named eth0. veth(4)
show 'ip link add web type veth peer name eth0 netns web'
show '! ip netns exec web busybox ping -c 1 -W 1 10.0.0.1'

# Each end needs an address, and has to be up. Both together give a route to the neighbours: /24.
show 'ip address add 10.0.0.1/24 dev web; ip link set web up'
show 'ip -n web address add 10.0.0.2/24 dev eth0'
show '! ip netns exec web busybox ping -c 1 -W 1 10.0.0.1'
show 'ip -n web link set eth0 up; ip -n web route'
show 'ip netns exec web busybox ping -c 1 -W 9 10.0.0.1'

# All that is not a neighbour takes the default route: here to the machine, which answers for its other addresses.
show '! ip netns exec web busybox ping -c 1 -W 1 192.0.2.1'
show 'ip -n web route add default via 10.0.0.1'
show 'ip netns exec web busybox ping -c 1 -W 9 192.0.2.1'

# A second box would need a second cable and a subnet of its own. A bridge is a switch: both cables end in it, and the
# machine's address is now the bridge's. It learns by looking which MAC address is behind which port. bridge(8)
show 'ip link add bridge0 type bridge; ip address flush dev web; ip link set web master bridge0'
show 'ip address add 10.0.0.1/24 dev bridge0; ip link set bridge0 up'
show 'ip netns add db; ip link add db type veth peer name eth0 netns db; ip link set db master bridge0 up'
show 'ip -n db address add 10.0.0.3/24 dev eth0; ip -n db link set eth0 up'
show 'ip netns exec db busybox ping -c 1 -W 9 10.0.0.2'
show 'bridge fdb show br bridge0 dynamic'

# A cable goes with the namespace that has one of its ends. (Not at once: the kernel cleans up a moment later.)
show 'ip netns delete db; while ip link show db >/dev/null 2>&1; do sleep 0.1; done'
