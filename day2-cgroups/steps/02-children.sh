#!/bin/sh
# Child cgroups: a mkdir makes one, an echo moves a process into it. cgroups(7),
# Documentation/admin-guide/cgroup-v1/cgroups.rst, .../admin-guide/cgroup-v2.rst
#
# Shows    what a child inherits, who is in it, and what it takes to remove it; then
#          the same in v2 and the rule that v2 adds.
# Look at  the errors. Every one of them is on purpose, and the script fails without.
# Needs    root: the trees belong to the whole machine.
# Leaves   nothing. Mounts end with their mount namespace but cgroups do not: it
#          removes its own, deepest first.
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }
refused() { if show "$*"; then fail "the kernel should have refused: $*"; fi; }

[ "$(id -u)" = 0 ] || cannot "only root may mount a hierarchy: run it as root"
[ "${1-}" = private ] || exec unshare --mount sh "$me" private

name=go-docker-step.$$ sleeper=''
cleanup() {
	trap '' HUP INT TERM; set +eu
	if [ "$sleeper" ]; then kill -KILL "$!"; wait "$!"; fi
	rmdir v1/cgroup1/inner v1/cgroup1 "v2/$name/leaf" "v2/$name"
	# The kernel frees a removed cgroup a moment later. A hierarchy that is unmounted before
	# that stays, without a mount: then mount it again and retry.
	for _ in $(seq 50); do
		sleep 0.1; umount v1; sleep 0.1
		grep -q "name=$name:" /proc/self/cgroup || break
		mount -t cgroup -o "none,name=$name" "$name" v1
	done
	cd /; umount "$dir/v2"; rmdir "$dir"/* "$dir"
}
trap '' HUP INT TERM # until the name to clean up is known
dir=$(mktemp -d "/tmp/$name.XXXXXX"); cd "$dir"
trap 'cleanup 2>/dev/null' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
mkdir v1 v2

echo "# cgroup v1"
if show "mount -t cgroup -o none,name=$name $name v1"; then
	show mkdir v1/cgroup1
	show ls v1/cgroup1
	# A child copies the flags its parent has at that moment. It inherits no processes.
	show 'echo 1 > v1/cgroup1/notify_on_release'
	show mkdir v1/cgroup1/inner
	show cat v1/cgroup1/inner/notify_on_release
	[ "$(cat v1/cgroup1/inner/notify_on_release)" = 1 ] || fail "notify_on_release was not inherited"
	# grep is born where the shell is that forks it.
	show "sh -c 'echo \$\$ > v1/cgroup1/tasks; grep name=$name /proc/self/cgroup'"
	# tasks takes the number of a thread and moves that one thread; cgroup.procs moves
	# the whole process. sleep has one thread only, a Go program has many.
	sleeper=yes; show 'sleep 600 &'
	show "echo $! > v1/cgroup1/cgroup.procs"
	show cat v1/cgroup1/tasks
	[ "$(cat v1/cgroup1/tasks)" = $! ] || fail "process $! is not in cgroup1"
	# A directory goes as a whole, and only when nobody and nothing is in it. The files
	# are not what is in it: they cannot be removed, so rm -r never gets further.
	refused rm -rf v1/cgroup1/inner
	show rmdir v1/cgroup1/inner
	refused rmdir v1/cgroup1
	show "kill $!"; wait $! 2>/dev/null || sleeper=''
	show rmdir v1/cgroup1
else
	echo "this kernel mounts no named v1 hierarchies (is cgroup_no_v1=named in /proc/cmdline?)"
fi

echo "# cgroup v2"
# With the options the tree has, or they change for the whole machine: 01-hierarchy.sh.
options=$(awk '$(NF-2) == "cgroup2" { print $NF; exit }' /proc/self/mountinfo)
show "mount -t cgroup2 -o ${options:-rw} cgroup2 v2"
show "mkdir v2/$name"
show "echo 1 > v2/$name/cgroup.max.depth"
show "mkdir v2/$name/leaf"
# No setting is copied. The parent's holds for everything below it, whatever the child says.
show "cat v2/$name/leaf/cgroup.max.depth"
refused mkdir "v2/$name/leaf/deeper"
sleeper=yes; show 'sleep 600 &'
show "echo $! > v2/$name/cgroup.procs"
show "grep ^0: /proc/$!/cgroup"
# Processes live in leaves: a cgroup that gives controllers to its children has no
# processes of its own, which would compete with the children. (Except the root.)
# /bin/echo because a shell's own echo may report just any error as "I/O error".
if grep -qw memory "v2/$name/cgroup.controllers"; then
	refused "/bin/echo +memory > v2/$name/cgroup.subtree_control"
	show "echo $! > v2/$name/leaf/cgroup.procs"
	show "echo +memory > v2/$name/cgroup.subtree_control"
	refused "/bin/echo $! > v2/$name/cgroup.procs"
else
	echo "memory is a v1 controller here, and the rule is about controllers: not shown"
	show "echo $! > v2/$name/leaf/cgroup.procs"
fi
refused rmdir "v2/$name/leaf"
show "kill $!"; wait $! 2>/dev/null || sleeper=''
show "rmdir v2/$name/leaf v2/$name"
