#!/bin/sh
# Takes a whole processor. $CPU is a directory of the hierarchy with the cpu controller.
set -eu

mkdir "$CPU/box"
echo $$ >"$CPU/box/cgroup.procs"
exec "$HOG" 1 spin
