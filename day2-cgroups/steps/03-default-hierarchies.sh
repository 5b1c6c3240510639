#!/bin/sh
# The hierarchies a machine comes with, under /sys/fs/cgroup. cgroups(7), proc(5)
#
# Shows    which generation of cgroups this machine has, where each controller is, and
#          in which cgroup of it this shell is.
# Look at  memory. A controller is in v1 or in v2, never in both, so whoever sets a limit
#          must look first. A path below /sys/fs/cgroup proves nothing: where nothing
#          is mounted it is a directory of a tmpfs, and writing there limits nobody.
# Needs    nothing; it only reads.
# Go       cgroup.go does the same with /proc/self/mountinfo and statfs(2)
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }

# Field 5 is the mount point; the last three are file system, source and options.
show "awk '\$(NF-2) ~ /^cgroup2?\$/ { print \$(NF-2), \$5, \$NF }' /proc/self/mountinfo"
# A v1 hierarchy with a name has no controllers.
v1=$(awk '$(NF-2) == "cgroup" && $NF !~ /name=/ { print $5 }' /proc/self/mountinfo)
v2=$(awk '$(NF-2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
case ${v1:+v1}${v2:+v2} in
v1v2) echo "# hybrid: controllers in v1, beside them a v2 for what v1 has left" ;;
v1)   echo "# v1: a hierarchy for every controller, or for a few together" ;;
v2)   echo "# v2: one hierarchy with all controllers" ;;
*)    fail "no cgroup hierarchy with controllers is mounted" ;;
esac

# The kernel's own word on what a file system is: its magic number, statfs(2).
for dir in $v1; do [ "$(stat -f -c %t "$dir")" = 27e0eb ] || fail "$dir is not a cgroup v1 file system"; done
for dir in $v2; do [ "$(stat -f -c %t "$dir")" = 63677270 ] || fail "$dir is not a cgroup v2 file system"; done

# One line a hierarchy, ID:CONTROLLERS:CGROUP. ID 0 is v2, which names no controllers.
show cat /proc/self/cgroup
[ -z "$v2" ] || show cat "$v2/cgroup.controllers"

echo "# this shell, $$, is in"
for controller in cpu cpuset memory pids; do
	match="(^|,)$controller(,|\$)"
	dir=$(awk -v c="$match" '$(NF-2) == "cgroup" && $NF ~ c { print $5; exit }' /proc/self/mountinfo)
	if [ "$dir" ]; then
		cgroup=$(awk -F: -v c="$match" '$2 ~ c { print $3 }' /proc/self/cgroup)
	elif [ "$v2" ] && grep -qw "$controller" "$v2/cgroup.controllers"; then
		dir=$v2 cgroup=$(sed -n 's/^0:://p' /proc/self/cgroup)
	else
		echo "$controller: not mounted"; continue
	fi
	echo "$controller: $dir$cgroup"
	grep -qx $$ "$dir$cgroup/cgroup.procs" || fail "process $$ is not listed in $dir$cgroup/cgroup.procs"
done
