#!/bin/sh
# A UTS namespace: a host name of one's own. uts_namespaces(7), sethostname(2)
#
# Shows    a process that renames "its" machine while the machine keeps its name.
# Look at  the number in uts:[...]. It is the namespace's inode: processes that
#          show the same number share one host name.
# Needs    root, or a kernel that lets plain users make user namespaces.
# Leaves   nothing: a namespace ends with its last process.
# Go       syscall.SysProcAttr{Cloneflags: CLONE_NEWUTS}
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=${1-}
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }

# The script runs itself again in the new namespace, as the Go program runs /proc/self/exe.
if [ "$at" = inside ]; then
	show readlink /proc/self/ns/uts
	[ "$(readlink /proc/self/ns/uts)" != "$outside" ] || fail "still in the old UTS namespace"
	# A new UTS namespace starts as a copy of the old one.
	show hostname
	show hostname container
	show hostname
	[ "$(hostname)" = container ] || fail "the host name did not change inside"
	exit
fi

# Only root may make namespaces, but every user may be root of a user namespace: 06-user.sh.
new=unshare; [ "$(id -u)" = 0 ] || new='unshare --user --map-root-user'
$new --uts true 2>/dev/null || cannot "may not make namespaces here: run it as root"

outside=$(readlink /proc/self/ns/uts); export outside
name=$(hostname)
show readlink /proc/self/ns/uts
show hostname
show "$new --uts sh $me inside"
show hostname
[ "$(hostname)" = "$name" ] || fail "the host name changed outside"
