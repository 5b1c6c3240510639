#!/bin/sh
# The boxes of bridge0 reach the outside.
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'add table ip boxes
add chain ip boxes postrouting { type nat hook postrouting priority srcnat; }
add rule ip boxes postrouting ip saddr 10.0.0.0/24 oifname != bridge0 masquerade'
