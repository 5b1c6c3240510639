#!/bin/sh
# A cgroup without a limit. $PIDS is a directory of the hierarchy with the pids controller.
set -eu

mkdir "$PIDS/box"
echo $$ >"$PIDS/box/cgroup.procs"
exec sleep 60
