#!/bin/sh
# A network namespace: interfaces, addresses and routes of one's own.
# network_namespaces(7), ip-link(8)
#
# Shows    that a new one has nothing but lo, that lo is down, and how to set it up.
# Look at  the flags of lo, <LOOPBACK> and then <LOOPBACK,UP,LOWER_UP>, and at its
#          addresses, which the kernel adds by itself.
# Needs    root, or a kernel that lets plain users make user namespaces; ip.
# Leaves   nothing. A cable to the outside is day 5.
# Go       CLONE_NEWNET, then the ioctl SIOCSIFFLAGS on lo (netdevice(7))
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=${1-}
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }

if [ "$at" = inside ]; then
	show readlink /proc/self/ns/net
	[ "$(readlink /proc/self/ns/net)" != "$outside" ] || fail "still in the old network namespace"
	show ip link
	! ip -o link | grep -q '<[^>]*UP' || fail "an interface is up in a new network namespace"
	! ip addr | grep -q inet || fail "an interface has an address in a new network namespace"
	# Until lo is up not even 127.0.0.1 answers.
	show ip link set lo up
	show ip addr show lo
	ip addr show lo | grep -q 'inet 127.0.0.1/8' || fail "lo is up and has no 127.0.0.1"
	show 'ip route | wc -l'
	[ -z "$(ip route)" ] || fail "a new network namespace has a route"
	exit
fi

new=unshare; [ "$(id -u)" = 0 ] || new='unshare --user --map-root-user'
$new --net true 2>/dev/null || cannot "may not make namespaces here: run it as root"

outside=$(readlink /proc/self/ns/net); export outside
show readlink /proc/self/ns/net
show 'ip -o addr'
show "$new --net sh $me inside"
