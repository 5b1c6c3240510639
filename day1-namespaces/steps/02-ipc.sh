#!/bin/sh
# An IPC namespace: message queues of one's own. ipc_namespaces(7), mq_overview(7)
#
# Shows    message queues that exist outside and cannot be found inside.
# Look at  the two listings of the queues, outside and inside.
# Needs    root, or a kernel that lets plain users make user namespaces.
# Leaves   nothing. A queue outlives its maker, and one made in the machine's own
#          namespace would stay until the next boot: what is called outside here is
#          a new namespace too, and takes its queues along.
# Go       syscall.SysProcAttr{Cloneflags: CLONE_NEWIPC}
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=${1-}
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }
count='tail -n +2 /proc/sysvipc/msg | wc -l' # below a heading

case $at in
'')
	new=unshare; [ "$(id -u)" = 0 ] || new='unshare --user --map-root-user'
	$new --ipc true 2>/dev/null || cannot "may not make namespaces here: run it as root"
	machine=$(readlink /proc/self/ns/ipc); export machine
	show readlink /proc/self/ns/ipc
	show "$new --ipc --mount sh $me outside" ;;
outside)
	outside=$(readlink /proc/self/ns/ipc); export outside
	show readlink /proc/self/ns/ipc
	[ "$outside" != "$machine" ] || fail "still in the machine's IPC namespace"
	# POSIX queues are files in an mqueue file system, which belongs to the IPC
	# namespace of whoever mounts it.
	show mount -t mqueue mqueue /mnt
	show touch /mnt/hello
	show ls /mnt
	# System V queues have no files, only the kernel's list of them.
	if command -v ipcmk >/dev/null; then show ipcmk -Q; fi
	show "$count"; made=$(eval "$count")
	show "unshare --ipc --mount sh $me inside"
	[ -e /mnt/hello ] || fail "the POSIX queue is gone outside"
	[ "$(eval "$count")" = "$made" ] || fail "the System V queues outside have changed" ;;
inside)
	show readlink /proc/self/ns/ipc
	[ "$(readlink /proc/self/ns/ipc)" != "$outside" ] || fail "still in the old IPC namespace"
	show mount -t mqueue mqueue /mnt
	show ls /mnt
	[ ! -e /mnt/hello ] || fail "a POSIX queue made outside is visible inside"
	show "$count"
	[ "$(eval "$count")" = 0 ] || fail "a System V queue made outside is visible inside" ;;
esac
