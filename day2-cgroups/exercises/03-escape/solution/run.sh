#!/bin/sh
set -eu

# $MEMORY is a directory of the hierarchy with the memory controller, $VERSION is 1 or 2.
box=$MEMORY/box
mkdir "$box"
if [ "$VERSION" = 2 ]; then
	echo 50M >"$box/memory.max"
	[ ! -e "$box/memory.swap.max" ] || echo 0 >"$box/memory.swap.max"
else
	echo 50M >"$box/memory.limit_in_bytes"
	[ ! -e "$box/memory.memsw.limit_in_bytes" ] || echo 50M >"$box/memory.memsw.limit_in_bytes"
fi

# Forked first, so it is in the cgroup that this shell was in then. Moving the parent moves nobody else.
"$HOG" 100 &
echo $$ >"$box/cgroup.procs"
wait
