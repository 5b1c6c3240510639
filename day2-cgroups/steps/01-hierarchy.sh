#!/bin/sh
# Step 1. New: a hierarchy: a tree of cgroups that is mounted like a file system. cgroups(7), cgroup-v1/cgroups.rst
# Run: sh day2-cgroups/steps/01-hierarchy.sh, as root
# Still wrong: it has one cgroup, with everybody in it (step 2), and no controller: it limits nobody (step 3).
. "$(dirname "$0")/lib.sh"
private
workdir
name=go-docker-step.$$

# A cgroup is a group of processes, and a controller is a part of the kernel that counts or limits what one uses.
# A directory to mount it on. "none" stands for no controller, "name=" tells it from others that have none. This is
# cgroup v1, whose code is still in most kernels: it works on a machine with v2 as well.
show mkdir cgroup-demo
if show "mount -t cgroup -o none,name=$name $name cgroup-demo"; then
	later "unmount $tmp/cgroup-demo $name"
	# Nobody created these files: the kernel makes them together with the cgroup.
	#   tasks                  the threads in this cgroup; write a number, and that thread moves in
	#   cgroup.procs           the processes; write a number, and that process moves in, with all its threads
	#   notify_on_release      1: when the last process has left, run the release agent
	#   release_agent          the program to run then; only in the root of a hierarchy
	#   cgroup.clone_children  1: a new child copies its cpuset from this cgroup
	#   cgroup.sane_behavior   always 0, left over from the development of v2
	show ls cgroup-demo
	# A new hierarchy is one cgroup, its root, and every process of the machine is in it.
	show "grep name=$name /proc/self/cgroup"
else
	echo "# no v1 hierarchies can be mounted here: cgroup_no_v1 in /proc/cmdline, or this is a container"
fi

# v2 has only one hierarchy, and that is mounted already. Do not mount it a second time to try: every mount shows the
# same tree, and the options belong to the tree, so a mount without nsdelegate takes that option from all of them.
# In mountinfo field 5 is where it is mounted, and the last but two is the file system.
v2=$(awk '$(NF-2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
if [ "$v2" ]; then
	#   cgroup.procs, cgroup.threads   as in v1, the latter only in a threaded subtree (cgroups(7))
	#   cgroup.controllers             the controllers that this cgroup may use
	#   cgroup.subtree_control         those that it hands on to its children
	show "ls $v2 | grep ^cgroup"
	show 'grep ^0: /proc/self/cgroup'
fi
