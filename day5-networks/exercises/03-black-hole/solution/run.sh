#!/bin/sh
# The boxes of bridge0 reach the outside, also where packets have to be shorter on the way: the machine writes into each
# new TCP connection how much a packet may carry there. (An MTU of 1400 for every eth0 would do as well.)
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'add table ip boxes
add chain ip boxes postrouting { type nat hook postrouting priority srcnat; }
add rule ip boxes postrouting ip saddr 10.0.0.0/24 oifname != bridge0 masquerade'
nft 'add chain ip boxes forward { type filter hook forward priority filter; }
add rule ip boxes forward tcp flags syn tcp option maxseg size set rt mtu'
