#!/bin/sh
# Two networks reach the outside, bridge0 with web and db, and bridge1 with app; and web is published. They do not reach
# each other, but for what is published.
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'add table ip boxes
add chain ip boxes postrouting { type nat hook postrouting priority srcnat; }
add rule ip boxes postrouting ip saddr 10.0.0.0/24 oifname != bridge0 masquerade
add rule ip boxes postrouting ip saddr 10.0.1.0/24 oifname != bridge1 masquerade
add chain ip boxes prerouting { type nat hook prerouting priority dstnat; }
add rule ip boxes prerouting fib daddr type local tcp dport 8080 dnat to 10.0.0.2:80
add chain ip boxes forward { type filter hook forward priority filter; }
add rule ip boxes forward ct status dnat accept
add rule ip boxes forward iifname bridge0 oifname bridge1 drop
add rule ip boxes forward iifname bridge1 oifname bridge0 drop'
