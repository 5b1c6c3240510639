#!/bin/sh
# Port 8080 of 127.0.0.1, and of no other address, is port 80 of web.
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv4/conf/bridge0/route_localnet
nft 'add table ip boxes
add chain ip boxes output { type nat hook output priority -100; }
add rule ip boxes output ip daddr 127.0.0.1 tcp dport 8080 dnat to 10.0.0.2:80
add chain ip boxes postrouting { type nat hook postrouting priority srcnat; }
add rule ip boxes postrouting ip saddr 127.0.0.0/8 oifname bridge0 masquerade'
