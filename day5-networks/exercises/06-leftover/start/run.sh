#!/bin/sh
# Port 8080 of the machine is port 80 of web, for as long as this runs.
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'add table ip boxes
add chain ip boxes prerouting { type nat hook prerouting priority dstnat; }
add rule ip boxes prerouting fib daddr type local tcp dport 8080 dnat to 10.0.0.2:80'
trap 'nft flush ruleset; exit' TERM
echo ready
while :; do sleep 1; done
