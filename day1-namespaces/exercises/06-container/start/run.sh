#!/bin/sh
# Two namespaces of seven.
set -eu

exec unshare --uts --pid --fork sh -c '
	hostname box
	exec sleep 60'
