#!/bin/sh
# Step 4. New: a memory limit by mkdir and echo alone. cgroup-v1/memory.rst, cgroup-v2.rst
# Run: sh day2-cgroups/steps/04-memory-limit.sh, as root
# Still wrong: a process is limited only once it is in, and so is what it forks. What if it is moved too late? (Step 5)
. "$(dirname "$0")/lib.sh"
needroot
root=$(awk '$(NF-2) == "cgroup" && $NF ~ /(^|,)memory(,|$)/ { print $5; exit }' /proc/self/mountinfo)
# The names of the files, first for v1. Later, [ $tasks = tasks ] asks whether this is v1. (oom: out of memory)
tasks=tasks limit=memory.limit_in_bytes events=memory.oom_control peak=memory.max_usage_in_bytes
swap=memory.memsw.limit_in_bytes noswap=100M # v1 limits memory and swap together, and wants memory's limit first
if [ -z "$root" ]; then
	root=$(awk '$(NF-2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	tasks=cgroup.procs limit=memory.max events=memory.events peak=memory.peak
	swap=memory.swap.max noswap=0 # v2 limits swap alone
fi
cg=go-docker-step.$$
later "remove_cgroup $root/$cg/child; remove_cgroup $root/$cg"

show cd "$root"
# v2: a cgroup has a controller's files only if the one above hands the controller on.
[ $tasks = tasks ] || show 'echo +memory > cgroup.subtree_control'
show mkdir $cg
show "echo 100M > $cg/$limit"
# Or else the kernel moves the excess to swap, if there is any, and kills nobody.
[ ! -e $cg/$swap ] || show "echo $noswap > $cg/$swap"
show "cat $cg/$limit"

# The hog: dd reads 200 MiB into one buffer. A shell moves itself in, and then becomes dd.
hog='exec dd if=/dev/zero of=/dev/null bs=200M count=1 status=none'
show "sh -c 'echo \$\$ > $cg/$tasks; $hog' || echo exit status \$?"
# 137 is 128 + 9, and anybody can send signal 9. These two files say that it was the kernel, for lack of memory, and at which limit.
show "grep -w oom_kill $cg/$events"
[ ! -e $cg/$peak ] || show "cat $cg/$peak" # v2: since Linux 5.19

# A child does not inherit the value: it starts without a limit. Its parent's binds it all the same.
[ $tasks = tasks ] || show "echo +memory > $cg/cgroup.subtree_control"
show mkdir $cg/child
show "cat $cg/child/$limit"
show "sh -c 'echo \$\$ > $cg/child/$tasks; $hog' || echo exit status \$?"
show "grep -w oom_kill $cg/child/$events"
