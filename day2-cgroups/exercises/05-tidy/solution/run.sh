#!/bin/sh
set -eu

box=$MEMORY/box
cleanup() {
	trap '' HUP INT TERM
	# The dead leave a moment later, and until then rmdir is EBUSY.
	for _ in $(seq 50); do
		while read -r pid; do kill -KILL "$pid"; done <"$box/cgroup.procs"
		rmdir "$box" && break
		sleep 0.1
	done 2>/dev/null
}
trap 'exit 143' TERM
trap cleanup EXIT
mkdir "$box"
sh -c 'echo $$ >"$1/cgroup.procs"; exec sleep 60' sh "$box" &
wait $!
