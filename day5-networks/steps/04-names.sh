#!/bin/sh
# Step 4. New: names for boxes: a line in a file of each box; then a resolver that is asked, and what it answers.
# Run: sh day5-networks/steps/04-names.sh, as root
# Still wrong: it knows the boxes and nobody else, and speaks only TCP, as busybox's nc does. Step 9 is a real one.
. "$(dirname "$0")/lib.sh"
[ "${WORLD-}" ] || exec sh "$(dirname "$0")/world.sh" -boxes sh "$0"
cd /run

# A program asks the C library, and that first looks into /etc/hosts. ip netns exec mounts what is in /etc/netns/db
# over what is in /etc. But each box has such a file, and all have to change when a box comes or goes.
show '! ip netns exec db timeout 1 getent ahostsv4 web'
show 'mkdir -p /etc/netns/db; echo "10.0.0.2 web" >/etc/netns/db/hosts'
show 'ip netns exec db getent ahostsv4 web; rm /etc/netns/db/hosts'

# Better that one place knows all names and is asked. A question: over TCP 2 bytes length; 2 id, 2 flags, 8 counts; the
# name, each part after its length, and 0; 2 type, 2 class. The answer repeats the question and adds: the name (c00c: as
# at byte 12), type A, class IN, 60 seconds, 4 bytes, the address. Or it says 3: no such name. RFC 1035, 4.1
cat >answer <<'ANSWER'
hex() { od -An -v -tx1 | tr -d ' \n'; }
take() { dd bs=1 count="$1" 2>/dev/null | hex; }
while length=$(take 2) && [ -n "$length" ]; do
	question=$(take $((0x$length)))
	id=$(echo "$question" | cut -c 1-4) asked=$(echo "$question" | cut -c 25-)
	name=$(echo "$asked" | sed 's/^..//; s/..........$//' | busybox xxd -r -p | tr '\001-\037' .)
	address=$(sed -n "s/ $name\$//p" names | tr . '\n' | xargs -r printf %02x)
	case $address/$asked in
		/*) reply=${id}81830001000000000000$asked ;;
		*/*00010001) reply=${id}81800001000100000000${asked}c00c000100010000003c0004$address ;;
		*) reply=${id}81800001000000000000$asked ;; # it exists, but has no IPv6 address
	esac
	printf %04x%s $((${#reply} / 2)) "$reply" | busybox xxd -r -p
done
ANSWER
show 'echo "10.0.0.2 web" >names; echo "10.0.0.3 db" >>names'
show 'busybox nc -ll -p 53 -e /bin/sh answer & until busybox netstat -ltn | grep -q :53; do sleep 0.1; done'

# The boxes ask at the machine's address on the bridge. use-vc: over TCP, as else for long answers only. resolv.conf(5)
show 'printf "nameserver 10.0.0.1\noptions use-vc\n" >/etc/resolv.conf'
show 'ip netns exec db getent ahosts web; ip netns exec web getent ahosts db'
show 'ip netns exec db busybox wget -qO- http://web'
show '! ip netns exec db timeout 5 getent ahosts nobody'
