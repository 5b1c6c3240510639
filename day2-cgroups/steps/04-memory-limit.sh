#!/bin/sh
# A memory limit by mkdir and echo alone. cgroups(7),
# Documentation/admin-guide/cgroup-v1/memory.rst, .../admin-guide/cgroup-v2.rst
#
# Shows    a process that wants 200 MiB in a cgroup that may have 100, and what happens
#          when a limit is set below what is already in use.
# Look at  the exit status and the kernel's counters: they prove that the limit was
#          reached and who killed the process.
# Needs    root.
# Leaves   nothing: it kills what is in its cgroup and removes it.
# Go       cgroup_v1.go, cgroup_v2.go
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }

[ "$(id -u)" = 0 ] || cannot "only root may make a cgroup there: run it as root"
root=$(awk '$(NF-2) == "cgroup" && $NF ~ /(^|,)memory(,|$)/ { print $5; exit }' /proc/self/mountinfo)
if [ "$root" ]; then
	generation=v1 limit=memory.limit_in_bytes usage=memory.usage_in_bytes peak=memory.max_usage_in_bytes
	swap=memory.memsw.limit_in_bytes noswap=100M # memory and swap together
	events=memory.oom_control
else
	root=$(awk '$(NF-2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	generation=v2 limit=memory.max usage=memory.current peak=memory.peak
	swap=memory.swap.max noswap=0 # swap alone
	events=memory.events
	grep -qsw memory "${root:-/none}/cgroup.controllers" || cannot "this machine has no memory controller"
fi
echo "# memory is a $generation controller here"
show cd "$root"

cg=go-docker-step.$$ sleeper=''
kills() { sed -n 's/^oom_kill //p' "$cg/$events"; }
cleanup() {
	trap '' HUP INT TERM; set +eu
	[ -z "$sleeper" ] || kill "$!"
	for _ in $(seq 50); do
		while read -r pid; do kill -KILL "$pid"; done <"$cg/cgroup.procs"
		rmdir "$cg" || [ ! -d "$cg" ] && break
		sleep 0.1 # the killed leave a moment later
	done
}
trap 'cleanup 2>/dev/null' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

# v2: a cgroup has memory files only if its parent hands the controller on, as systemd does.
if [ $generation = v2 ] && ! grep -qw memory cgroup.subtree_control; then
	show "/bin/echo +memory > cgroup.subtree_control" ||
		cannot "$root cannot give its children the memory controller"
fi
show mkdir $cg
show "echo 100M > $cg/$limit"
show cat "$cg/$limit"
# Otherwise the kernel moves the excess to swap, if there is any, and kills nobody. v1
# takes it only after the first: memory and swap together may not be below memory.
if [ -e "$cg/$swap" ]; then
	show "echo $noswap > $cg/$swap"
else
	echo "# no $swap: this kernel does not count swap"
fi

# dd reads 200 MiB into one buffer. It is in the cgroup before it is dd.
hog='exec dd if=/dev/zero of=/dev/null bs=200M count=1 status=none'
show "sh -c '$hog'" || fail "200 MiB are too much even without a limit"
status=0; show "sh -c 'echo \$\$ > $cg/cgroup.procs; $hog'" || status=$?
echo "# exit status $status"
[ $status = 137 ] || fail "expected 137: 128 + 9, SIGKILL"
# Not failcnt in v1: it counts only when memory's own limit is hit before memory+swap's.
show cat "$cg/$events"
[ "$(kills)" = 1 ] || fail "the kernel counts $(kills) kills for lack of memory, not 1"
if [ -e "$cg/$peak" ]; then
	show cat "$cg/$peak"
	[ "$(cat "$cg/$peak")" -ge 103809024 ] || fail "the peak is below 99 MiB: it was not this limit that killed"
else
	echo "# no $peak before Linux 5.19"
fi

echo "# a limit below what is in use"
# This dd waits with 50 MiB in its buffer, because sleep never reads from the pipe.
sleeper=yes
show "sh -c 'echo \$\$ > $cg/cgroup.procs; exec dd if=/dev/zero bs=50M count=1 status=none' | sleep 600 &"
for _ in $(seq 300); do [ "$(cat "$cg/$usage")" -lt 52428800 ] || break; sleep 0.1; done
show cat "$cg/$usage"
[ "$(cat "$cg/$usage")" -ge 52428800 ] || fail "dd does not hold its 50 MiB"
if [ $generation = v1 ]; then
	# memsw limits the sum only. With swappiness 0 none of the 50 MiB may be swapped out, so
	# there is nothing to reclaim: v1 refuses and keeps the old limit. (/bin/echo because a
	# shell's own echo may call every error "I/O error".)
	show "echo 0 > $cg/memory.swappiness"
	if show "/bin/echo 10M > $cg/$limit"; then fail "v1 should have answered EBUSY"; fi
	show cat "$cg/$limit"
	[ "$(cat "$cg/$limit")" = 104857600 ] || fail "the old limit is gone"
else
	# v2 takes the limit, reclaims what it can, and then kills.
	show "echo 10M > $cg/$limit"
	show "grep -w oom_kill $cg/$events"
	[ "$(kills)" = 2 ] || fail "the process has survived a limit below its memory"
fi
