#!/bin/sh
set -eu

# --map-root-user: a user namespace with one user, root. --mount-proc: also a mount namespace,
# private. --kill-child: PID 1 gets SIGKILL when unshare dies, and takes all others with it.
exec unshare --user --map-root-user --uts --ipc --net --cgroup --pid --fork --mount-proc --kill-child sh -c '
	hostname box
	ip link set lo up
	exec sleep 60'
