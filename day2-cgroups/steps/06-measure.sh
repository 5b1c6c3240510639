#!/bin/sh
# Step 6. New: the article's program, measured: its four faults. Then step 7, which has none of them.
# Run: sh day2-cgroups/steps/06-measure.sh, as root
# Still wrong: a race can also be won. If all five runs keep to the limit here, that is luck and proves nothing.
. "$(dirname "$0")/lib.sh"
needroot
cg=/sys/fs/cgroup/memory/go-docker-demo-memory peak=memory.max_usage_in_bytes
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	cg=/sys/fs/cgroup/go-docker-demo-memory peak=memory.peak # since Linux 5.19
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
fi
{ mkdir "$cg" && rmdir "$cg"; } 2>/dev/null || cannot "is 05-obvious still running, or was it killed? scripts/cleanup.sh removes $cg"

steps=$(cd "$(dirname "$0")" && pwd)
workdir
[ -n "${STEPS_BIN-}" ] || (cd "$steps" && go build -o "$tmp/" ./05-obvious ./07-fixed) || cannot "go build failed"
cp "${STEPS_BIN:-$tmp}/05-obvious" obvious && cp "${STEPS_BIN:-$tmp}/07-fixed" fixed
sweep() { # what obvious leaves: its children, its cgroup
	find /proc/[0-9]*/exe -lname "$tmp/obvious" 2>/dev/null | cut -d / -f 3 |
		while read -r pid; do kill -KILL "$pid" || true; done
	remove_cgroup $cg
}
later sweep

echo "# Fault 1: the hog is forked before the parent has written tasks, and is never charged."
for run in 1 2 3 4 5; do
	sweep
	./obvious >out 2>&1 || true
	echo "# run $run: charged at most $(cat $cg/$peak) of 104857600 bytes: $(grep MiB out || echo 'the hog was killed')"
done
echo "# Fault 2: the child does not return. With the hog gone, it became a second parent, inside:"
show cat out
echo "# Fault 3: the second run stops at mkdir, and its child runs on without a parent or a limit."
show '! ./obvious >out 2>&1'
show cat out
echo "# Fault 4: nothing is removed."
show ls -d $cg
sweep
echo "# All four mended, and the hog is killed each time:"
show '! ./fixed'
show '! ./fixed'
