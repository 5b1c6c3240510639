#!/bin/sh
# A network namespace ends with its last process. Make this one stay, at the file kept.
set -eu

touch kept
unshare --net ip link set lo up
