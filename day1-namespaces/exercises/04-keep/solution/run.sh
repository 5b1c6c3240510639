#!/bin/sh
set -eu

# The bind mount of /proc/PID/ns/net on the file is a reference, and no process is needed.
touch kept
unshare --net=kept ip link set lo up
