#!/bin/sh
# Step 2. New: from a box to the outside: a machine that forwards, and gives its own address as the sender.
# Run: sh day5-networks/steps/02-nat.sh, as root
# Still wrong: whoever routes 10.0.0.0/24 to this machine gets into the boxes: the last lines. And no port is published.
. "$(dirname "$0")/lib.sh"
[ "${WORLD-}" ] || exec sh "$(dirname "$0")/world.sh" -boxes sh "$0" # with the bridge and the boxes of step 1

# The neighbour on the LAN has a web server that greets whoever asks. The machine reaches it, a box does not.
show 'busybox wget -qO- 192.0.2.2'
show '! ip netns exec web timeout 1 busybox wget -qO- 192.0.2.2'

# A machine drops what is not for itself, unless it is a router. (When the switch is turned, all settings below
# net.ipv4.conf become the defaults of a host or of a router.) ip-sysctl, ip_forward
show 'sysctl net.ipv4.ip_forward'
show 'sysctl -w net.ipv4.ip_forward=1'

# Now the packet gets there, and the neighbour sees it. But it has no route to 10.0.0.2: no answer comes.
show 'ip netns exec lan nft "add table ip seen; add chain ip seen input { type filter hook input priority 0; }"'
show 'ip netns exec lan nft add rule ip seen input ip saddr 10.0.0.2 tcp dport 80 counter'
show '! ip netns exec web timeout 3 busybox wget -qO- 192.0.2.2'
show 'ip netns exec lan nft list chain ip seen input | grep counter; ip netns exec lan ip route get 10.0.0.2 || true'

# So the machine writes its own address over the sender's, remembers the connection, and turns the answers round. A
# chain of type nat sees only the first packet of a connection: all others are treated alike. nft(8), NAT STATEMENTS
show 'nft "add table ip boxes; add chain ip boxes postrouting { type nat hook postrouting priority srcnat; }"'
show 'nft "add rule ip boxes postrouting ip saddr 10.0.0.0/24 oifname != bridge0 masquerade"'
show 'ip netns exec web busybox wget -qO- 192.0.2.2'
show 'grep 10.0.0.2 /proc/net/nf_conntrack || true'

# Masquerading hides the boxes, and that is no protection. A neighbour who knows of them needs one line:
show 'ip -n lan route add 10.0.0.0/24 via 192.0.2.1; ip netns exec lan busybox wget -qO- 10.0.0.2'
