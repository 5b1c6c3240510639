#!/bin/sh
set -eu

mkdir "$PIDS/box"
echo 5 >"$PIDS/box/pids.max"
echo $$ >"$PIDS/box/cgroup.procs"
exec sleep 60
