#!/bin/sh
# Removes its cgroup in the end, if it gets there. Send it SIGTERM, and it does not.
set -eu

box=$MEMORY/box
mkdir "$box"
sh -c 'echo $$ >"$1/cgroup.procs"; exec sleep 60' sh "$box" &
wait $!
rmdir "$box"
