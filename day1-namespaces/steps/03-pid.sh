#!/bin/sh
# A PID namespace: process 1, and alone. pid_namespaces(7), proc(5)
#
# Shows    a shell that is PID 1, and a ps that shows the whole machine all the same
#          until /proc is mounted anew.
# Look at  ps inside, before and after mount -t proc.
# Needs    root, or a kernel that lets plain users make user namespaces; ps.
# Leaves   nothing: when PID 1 ends, the kernel kills the rest of its namespace.
# Go       syscall.SysProcAttr{Cloneflags: CLONE_NEWPID | CLONE_NEWNS}
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=${1-}
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }

if [ "$at" = inside ]; then
	show readlink /proc/self/ns/pid
	[ "$(readlink /proc/self/ns/pid)" != "$outside" ] || fail "still in the old PID namespace"
	show 'echo $$'
	[ $$ = 1 ] || fail "the first process of the namespace is $$, not 1"
	# ps asks /proc, and a mounted /proc answers for the PID namespace it was
	# mounted in: it shows the machine's PID 1, and this shell under another number.
	show 'ps -e -o pid,comm | head -n 3'
	show 'cut -d " " -f 1 /proc/self/stat'
	read -r pid _ </proc/self/stat; [ "$pid" != 1 ] || fail "the old /proc knows this shell as PID 1"
	# The new one covers the old one in this mount namespace only: 04-mount.sh.
	show mount -t proc proc /proc
	show 'ps -e -o pid,comm'
	read -r pid _ </proc/self/stat; [ "$pid" = 1 ] || fail "/proc still shows another PID namespace"
	exit
fi

new=unshare; [ "$(id -u)" = 0 ] || new='unshare --user --map-root-user'
$new --pid true 2>/dev/null || cannot "may not make namespaces here: run it as root"

outside=$(readlink /proc/self/ns/pid); export outside
show readlink /proc/self/ns/pid
# A process keeps its number for life, so unshare(2) cannot move its caller: only
# the children it forks from then on are in the new namespace. Hence --fork.
show "$new --pid --fork --mount sh $me inside"
