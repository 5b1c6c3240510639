#!/bin/sh
# Step 3. New: port 8080 of the machine is port 80 of a box: from the LAN, from the machine, and from the box itself.
# Run: sh day5-networks/steps/03-publish.sh, as root
# Still wrong: with route_localnet a box can reach what listens only on the machine's 127.0.0.1. Exercise 4.
. "$(dirname "$0")/lib.sh"
[ "${WORLD-}" ] || exec sh "$(dirname "$0")/world.sh" -boxes sh "$0"
sysctl -qw net.ipv4.ip_forward=1
lan='ip netns exec lan' web='ip netns exec web'

# The destination is changed before the machine looks where the packet goes: in prerouting. What the chain does not
# know, it lets through. The fib part: only what is for an address of this machine, whichever. nft(8), FIB EXPRESSIONS
show "! $lan busybox wget -qO- 192.0.2.1:8080"
show 'nft "add table ip boxes; add chain ip boxes prerouting { type nat hook prerouting priority dstnat; }"'
show 'nft add rule ip boxes prerouting fib daddr type local tcp dport 8080 dnat to 10.0.0.2:80'
show "$lan busybox wget -qO- 192.0.2.1:8080"

# But from the machine itself it is refused. This is where most go wrong: a chain of type nat sees a connection once, at
# the first hook that it comes to. For what the machine itself sends that is output; prerouting, on lo, comes too late.
show '! busybox wget -qO- 192.0.2.1:8080'
show 'nft "add chain ip boxes output { type nat hook output priority -100; }"'
show 'nft add rule ip boxes output fib daddr type local tcp dport 8080 dnat to 10.0.0.2:80'
show 'busybox wget -qO- 192.0.2.1:8080'

# And now 127.0.0.1. The packet's sender is 127.0.0.1 as well, and the kernel lets no such address out of the machine,
# unless told so for this device. And the box drops it when it comes in: so masquerade. ip-sysctl, route_localnet
show '! timeout 1 busybox wget -qO- 127.0.0.1:8080'
show 'sysctl -w net.ipv4.conf.bridge0.route_localnet=1'
show '! timeout 1 busybox wget -qO- 127.0.0.1:8080'
show 'nft "add chain ip boxes postrouting { type nat hook postrouting priority srcnat; }"'
show 'nft add rule ip boxes postrouting ip saddr 127.0.0.0/8 oifname bridge0 masquerade'
show 'busybox wget -qO- 127.0.0.1:8080'

# A box that asks the machine for its own port would get packets from itself. The bridge, too, has to send a frame back
# into the cable it came from, where it meets these rules (bridge-nf-call-iptables): hairpin. bridge(8)
show "! $web timeout 1 busybox wget -qO- 192.0.2.1:8080"
show 'nft add rule ip boxes postrouting ip saddr 10.0.0.0/24 oifname bridge0 ct status dnat masquerade'
show "bridge link set dev web hairpin on; $web busybox wget -qO- 192.0.2.1:8080"
