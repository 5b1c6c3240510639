#!/bin/sh
# Step 2. New: child cgroups: mkdir makes one, echo moves a process into it, rmdir ends it. cgroups(7)
# Run: sh day2-cgroups/steps/02-children.sh, as root. The refusals are meant: it stops if there is one too few.
# Still wrong: a hierarchy without a controller limits nobody (step 4).
. "$(dirname "$0")/lib.sh"
private
workdir
name=go-docker-step.$$

mkdir cgroup-demo
if show "mount -t cgroup -o none,name=$name $name cgroup-demo"; then
	later "unmount $tmp/cgroup-demo $name"
	later "remove_cgroup $tmp/cgroup-demo/cgroup1/inner; remove_cgroup $tmp/cgroup-demo/cgroup1"
	show cd cgroup-demo
	show mkdir cgroup1
	show ls cgroup1
	# Nobody moves grep: the shell that forks it has moved, and a child starts where its parent is.
	show "sh -c 'echo \$\$ > cgroup1/tasks; grep name=$name /proc/self/cgroup'"
	# 0 means the writer. In tasks that is the one thread that writes, in cgroup.procs its whole process: for a
	# shell, which has one thread, it is all the same; for a Go program, which has many, it is not (step 8).
	show "sh -c 'echo 0 > cgroup1/tasks; wc -l < cgroup1/tasks; wc -l < cgroup1/cgroup.procs'"
	# The flags are copied to a new child. They are the hierarchy's; a controller's values are not copied (step 4).
	show 'echo 1 > cgroup1/notify_on_release; mkdir cgroup1/inner; cat cgroup1/inner/notify_on_release'
	# A cgroup is removed by rmdir, and only when it has no children and no processes. Its files do not count.
	show '! rmdir cgroup1'
	show '! rm -r cgroup1/inner'
	show rmdir cgroup1/inner cgroup1
fi

v2=$(awk '$(NF-2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
[ "$v2" ] && grep -qw memory "$v2/cgroup.controllers" || exit 0 # the rule is about controllers, and v1 has them here
later "remove_cgroup $v2/$name/leaf; remove_cgroup $v2/$name"
show "cd $v2; echo +memory > cgroup.subtree_control"
show mkdir -p "$name/leaf"
show "sleep 600 & echo \$! > $name/cgroup.procs"
# In v2 processes live in leaves: a cgroup that hands controllers on has none of its own, which would compete with its
# children. cgroup-v2.rst, "No Internal Process Constraint". (/bin/echo: a shell's own may not say which error it was.)
show "! /bin/echo +memory > $name/cgroup.subtree_control"
show "echo $! > $name/leaf/cgroup.procs; echo +memory > $name/cgroup.subtree_control"
show "! /bin/echo $! > $name/cgroup.procs"
