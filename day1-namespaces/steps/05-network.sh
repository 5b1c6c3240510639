#!/bin/sh
# Step 5. New: a network of its own: a network namespace. network_namespaces(7), ip-link(8)
# Run: sh day1-namespaces/steps/05-network.sh
# Still wrong: there is no way out of it. A cable to the outside is day 5.
. "$(dirname "$0")/lib.sh"

show readlink /proc/self/ns/net
show 'ip -o link | wc -l'

inside "$new --net" <<'END'
readlink /proc/self/ns/net
# One device, lo, and it is down: until somebody brings it up, not even 127.0.0.1 answers.
ip -o link | wc -l
ip link show lo | grep -o '<.*>'
ip link set lo up
ip link show lo | grep -o '<.*>'
# The address is the kernel's own doing. Routes to anywhere else there are none.
ip addr show lo | grep -w inet
ip route | wc -l
END
