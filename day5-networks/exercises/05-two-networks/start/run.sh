#!/bin/sh
# Two networks reach the outside, bridge0 with web and db, and bridge1 with app; and web is published.
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'add table ip boxes
add chain ip boxes postrouting { type nat hook postrouting priority srcnat; }
add rule ip boxes postrouting ip saddr 10.0.0.0/24 oifname != bridge0 masquerade
add rule ip boxes postrouting ip saddr 10.0.1.0/24 oifname != bridge1 masquerade
add chain ip boxes prerouting { type nat hook prerouting priority dstnat; }
add rule ip boxes prerouting fib daddr type local tcp dport 8080 dnat to 10.0.0.2:80'
