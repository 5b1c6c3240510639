#!/bin/sh
# The article's program, measured: four faults. Then the same program without them.
#
# Shows    what 05-obvious does to its limit, to its child, on its second run, and
#          what it leaves; and what 07-fixed does instead.
# Look at  the peak that the kernel counted, beside what the hog says it has.
# Needs    root, and Go to build the two programs (or them, ready, in $STEPS_BIN).
# Leaves   nothing: it removes what 05-obvious leaves.
# Go       05-obvious/main.go, 07-fixed/main.go, then pipes.go and place.go
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; }
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }

[ "$(id -u)" = 0 ] || cannot "only root may make a cgroup there: run it as root"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	cg=/sys/fs/cgroup/go-docker-demo-memory peak=memory.peak
	grep -qw memory /sys/fs/cgroup/cgroup.subtree_control || echo +memory >/sys/fs/cgroup/cgroup.subtree_control
else
	cg=/sys/fs/cgroup/memory/go-docker-demo-memory peak=memory.max_usage_in_bytes
fi
mkdir "$cg" 2>/dev/null || cannot "cannot make $cg: is 05-obvious still running, or was it killed? scripts/cleanup.sh removes it"
rmdir "$cg"

tmp=$(mktemp -d "/tmp/go-docker-step.$$.XXXXXX")
sweep() { # what 05-obvious leaves: its cgroup, and on a failed run its child
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		pids=$(sed -n 's/^outside, its pid is //p' "$tmp"/out* 2>/dev/null) || true
		for pid in $pids; do
			[ "$(readlink "/proc/$pid/exe")" != "$bin/05-obvious" ] || kill -KILL "$pid"
		done
		rmdir "$cg" || [ ! -d "$cg" ] && break
		sleep 0.1
	done
}
cleanup() { trap '' HUP INT TERM; set +e; sweep 2>/dev/null; rm -rf "$tmp"; }
trap cleanup EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
bin=${STEPS_BIN:-$tmp}
if [ ! -x "$bin/05-obvious" ]; then
	command -v go >/dev/null || cannot "Go is not in PATH"
	go build -o "$bin/" ./05-obvious ./07-fixed || cannot "cannot build the two programs"
fi
ln -sf "$bin/05-obvious" "$tmp/obvious" && ln -sf "$bin/07-fixed" "$tmp/fixed" && cd "$tmp"

echo "# Fault 1: the hog is forked before the parent has written tasks, and is never charged."
escaped=0
for run in 1 2 3 4 5; do
	status=0; ./obvious >out 2>&1 || status=$?
	[ $run != 1 ] || { echo '$ ./obvious'; cat out; }
	if grep -q '200 MiB' out; then escaped=$((escaped + 1)); fi
	if [ -e "$cg/$peak" ]; then echo "# run $run: charged at most $(cat "$cg/$peak") of 104857600 bytes: $(grep MiB out || echo 'the hog was killed')"; fi
	[ $run = 5 ] || sweep 2>/dev/null
done
echo "# in $escaped of 5 runs the hog got away with 200 MiB"
# Who wins depends on the machine; the limit that holds at times is the fault all the same.
[ $escaped -gt 0 ] || echo "# (here the parent was faster each time: a race, not a guarantee)"

if [ $escaped -gt 0 ]; then
	echo "# Fault 2: the child does not return. Inside, it became a second parent:"
	show "grep -n -e outside -e 'file exists' out" || true
fi

echo "# Fault 3: the second run stops at mkdir, and its child runs on without a parent or a limit."
status=0; show './obvious >out2 2>&1' || status=$?
show cat out2
[ $status = 1 ] || fail "the second run should have failed: exit status $status"

echo "# Fault 4: nothing is removed."
show "ls -d $cg" || fail "the cgroup should still be there"
sweep 2>/dev/null

echo "# All four mended:"
for run in 1 2; do
	status=0; show ./fixed || status=$?
	[ $status = 1 ] || fail "the hog should have been killed: exit status $status"
done
