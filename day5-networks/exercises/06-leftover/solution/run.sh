#!/bin/sh
# Port 8080 of the machine is port 80 of web, for as long as this runs. The table is its own: replaced whole at the start,
# in one transaction, whatever the one before has left; and nothing else is touched at the end.
echo 1 >/proc/sys/net/ipv4/ip_forward
trap 'nft delete table ip boxes; exit' TERM
nft 'add table ip boxes
delete table ip boxes
add table ip boxes
add chain ip boxes prerouting { type nat hook prerouting priority dstnat; }
add rule ip boxes prerouting fib daddr type local tcp dport 8080 dnat to 10.0.0.2:80'
echo ready
while :; do sleep 1; done
