#!/bin/sh
set -eu

box=$CPU/box
mkdir "$box"
if [ "$VERSION" = 2 ]; then
	echo "20000 100000" >"$box/cpu.max"
else
	echo 20000 >"$box/cpu.cfs_quota_us"
fi
echo $$ >"$box/cgroup.procs"
exec "$HOG" 1 spin
