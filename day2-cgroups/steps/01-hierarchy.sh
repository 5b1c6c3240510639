#!/bin/sh
# A hierarchy: a tree of cgroups that is mounted like a file system. cgroups(7),
# Documentation/admin-guide/cgroup-v1/cgroups.rst, .../admin-guide/cgroup-v2.rst
#
# Shows    cgroup v1, where one may mount as many trees as one likes, and cgroup v2,
#          where there is one tree and every mount of it shows the same.
# Look at  the files: nobody made them, they are the kernel's side of the directory.
# Needs    root: the trees belong to the whole machine.
# Leaves   nothing: the mounts end with their mount namespace (day 1, 04-mount.sh), and
#          a named hierarchy without children ends with its last mount.
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }
tell() { [ -e "$1" ] || fail "$PWD has no $1"; printf '  %-24s %s\n' "$@"; }

[ "$(id -u)" = 0 ] || cannot "only root may mount a hierarchy: run it as root"
[ "${1-}" = private ] || exec unshare --mount sh "$me" private

name=go-docker-step.$$
cleanup() { trap '' HUP INT TERM; set +eu; cd /; umount "$dir"/*; rmdir "$dir"/* "$dir"; }
trap '' HUP INT TERM # until the name to clean up is known
dir=$(mktemp -d "/tmp/$name.XXXXXX"); cd "$dir"
trap 'cleanup 2>/dev/null' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

echo "# cgroup v1: a hierarchy of our own, with a name and no subsystem"
show mkdir cgroup-demo
if show mount -t cgroup -o "none,name=$name" "$name" cgroup-demo; then
	show ls cgroup-demo
	cd cgroup-demo
	tell cgroup.procs          "the processes in this cgroup; write a number and that process moves in"
	tell tasks                 "the same for threads, one by one"
	tell notify_on_release     "1: when the last process has left, run the release agent"
	tell release_agent         "the program to run then (only in the root of the hierarchy)"
	tell cgroup.clone_children "1: a new child cgroup copies its cpuset configuration from this one"
	tell cgroup.sane_behavior  "always 0, left over from the development of v2"
	cd ..
	# A new hierarchy is one cgroup, the root, and every process of the machine is in it.
	show "grep name=$name /proc/self/cgroup"
	grep -q ":name=$name:/\$" /proc/self/cgroup || fail "this process is not in the root of the new hierarchy"
	show umount cgroup-demo
	for _ in $(seq 50); do grep -q "name=$name:" /proc/self/cgroup || break; sleep 0.1; done
	if grep "name=$name:" /proc/self/cgroup; then fail "a hierarchy without children has outlived its mount"; fi
else
	echo "this kernel mounts no named v1 hierarchies (is cgroup_no_v1=named in /proc/cmdline?)"
fi

echo "# cgroup v2: the one hierarchy"
# The options belong to the tree, not to the mount: a mount without nsdelegate takes
# nsdelegate away from the machine. So we mount with the options it has.
options=$(awk '$(NF-2) == "cgroup2" { print $NF; exit }' /proc/self/mountinfo)
options=${options:-rw}
show mkdir one two
show "mount -t cgroup2 -o $options cgroup2 one"
show "mount -t cgroup2 -o $options cgroup2 two"
show ls one
cd one
tell cgroup.procs           "the processes in this cgroup; write a number and that process moves in"
tell cgroup.threads         "the same for threads (only in threaded cgroups)"
tell cgroup.controllers     "the controllers this cgroup may use"
tell cgroup.subtree_control "the controllers it gives to its children: +memory adds one"
tell cgroup.stat            "how many cgroups there are below this one"
cd ..
show "grep ^0: /proc/self/cgroup"
show "stat -c '%n: device %d, inode %i' one two"
[ "$(stat -c '%d %i' one)" = "$(stat -c '%d %i' two)" ] || fail "two mounts of cgroup2 show different trees"
now=$(awk '$(NF-2) == "cgroup2" { print $NF; exit }' /proc/self/mountinfo)
[ "$now" = "$options" ] || fail "the options of the tree were $options and are $now"
