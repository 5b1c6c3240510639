#!/bin/sh
# Step 3. New: the hierarchies that the machine comes with, below /sys/fs/cgroup. cgroups(7), proc_pid_cgroup(5)
# Run: sh day2-cgroups/steps/03-default-hierarchies.sh
# Still wrong: it only reads. Setting a limit is step 4.
. "$(dirname "$0")/lib.sh"

# Field 5 of a line is where it is mounted; the last three are the file system, its source and its options.
show "awk '\$(NF-2) ~ /^cgroup2?\$/ { print \$(NF-2), \$5, \$NF }' /proc/self/mountinfo"
v1=$(awk '$(NF-2) == "cgroup" && $NF !~ /name=/ { print $5 }' /proc/self/mountinfo) # with a name, without a controller
v2=$(awk '$(NF-2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
case ${v1:+v1}${v2:+v2} in
v1v2) echo "# hybrid: controllers in v1, beside them a v2 for what v1 has left" ;;
v1) echo "# v1: a hierarchy for every controller, or for a few together" ;;
v2) echo "# v2: one hierarchy with all controllers" ;;
*) cannot "no hierarchy with controllers is mounted" ;;
esac

# One line for each hierarchy, ID:CONTROLLERS:CGROUP. ID 0 is v2's, which names no controllers.
show cat /proc/self/cgroup
[ -z "$v2" ] || show cat "$v2/cgroup.controllers"

# A controller is in v1 or in v2, never in both: whoever sets a limit looks first. Where nothing is mounted,
# a path below /sys/fs/cgroup is a directory of a tmpfs, and what is written there limits nobody.
echo "# this shell, $$, is in"
for controller in cpu cpuset memory pids; do
	match="(^|,)$controller(,|\$)"
	dir=$(awk -v c="$match" '$(NF-2) == "cgroup" && $NF ~ c { print $5; exit }' /proc/self/mountinfo)
	cgroup=$(awk -F: -v c="$match" '$2 ~ c { print $3 }' /proc/self/cgroup)
	if [ -z "$dir" ] && [ "$v2" ] && grep -qw "$controller" "$v2/cgroup.controllers"; then
		dir=$v2 cgroup=$(sed -n 's/^0:://p' /proc/self/cgroup)
	fi
	echo "$controller: ${dir:-not mounted}${dir:+$cgroup}"
done
