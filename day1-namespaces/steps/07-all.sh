#!/bin/sh
# 07-all.sh [COMMAND [ARG...]]: every namespace at once.
# namespaces(7), pid_namespaces(7), unshare(1)
#
# Shows    without a COMMAND, which namespaces it is in outside and inside; else runs
#          it there, with private mounts, its own /proc, its own host name and lo up.
# Needs    root, or a kernel that lets plain users make user namespaces; ip.
# Exit     the COMMAND's; 126 it cannot be executed, 127 not found, 125 all else.
# Leaves   nothing: all that is inside dies with this script, even by kill -9.
# Go       run.go is this script, init.go is --init
set -eu
me=${0##*/}
cannot() { echo "$me: $*" >&2; exit 125; }
new() { unshare --user --map-root-user --mount --uts --ipc --net --pid "$@"; }

case ${1-} in
--init)
	[ $$ = 1 ] || cannot "--init is for PID 1 of a new namespace"
	shift
	mount -t proc proc /proc || cannot "/proc cannot be mounted"
	hostname container || cannot "the host name cannot be set"
	ip link set lo up || cannot "lo cannot be set up"
	(cat <&8; kill -KILL -1) & # at the end of the lifeline, see below: all but PID 1 and this process
	# PID 1 does not become the command: the kernel keeps from PID 1 every signal that
	# it does not handle, such as ^C, and makes it the parent of all orphans.
	status=0; (exec "$@" 8<&-) || status=$? # exec: a program, never a builtin of the shell
	exit "$status" ;;
--compare)
	shift
	printf '%-8s %-14s %s\n' '' outside inside
	for outside; do
		name=${outside%%:*}; inside=$(readlink "/proc/self/ns/$name")
		printf '%-8s %-14s %s\n' "$name" "${outside#*:}" "${inside#*:}"
		[ "$inside" != "$outside" ] || { echo "$me: still in the old $name namespace" >&2; exit 1; }
	done
	exit ;;
-*) cannot "usage: $me [COMMAND [ARG...]]" ;;
esac

new --fork true 2>/dev/null ||
	cannot "may not make a user namespace here; root may, unless user.max_user_namespaces is 0"
cgroup=--cgroup
new --cgroup true 2>/dev/null ||
	{ cgroup=; echo "$me: this unshare has no --cgroup: six namespaces, not seven" >&2; }
if [ $# = 0 ]; then
	set -- sh "$0" --compare
	for name in user mnt uts ipc net pid ${cgroup:+cgroup}; do
		set -- "$@" "$(readlink "/proc/self/ns/$name")"
	done
fi

# The lifeline: a pipe that only this script can write to. When it ends, however it
# ends, the reader inside meets end of file. (Go has SysProcAttr.Pdeathsig.)
trap '' HUP INT TERM # until the name to clean up is known
pipe=$(mktemp -d "/tmp/go-docker-step.$$.XXXXXX")
trap 'rm -rf "$pipe"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
mkfifo "$pipe/life"
exec 7<>"$pipe/life"             # opened both ways first: a FIFO's open waits for its other end
exec 8<"$pipe/life"; exec 9>"$pipe/life" 7<&-
rm -rf "$pipe"; trap - EXIT HUP TERM
trap : INT # ^C is for the command
status=0; new $cgroup --fork sh "$0" --init "$@" 9>&- || status=$?
exit "$status"
