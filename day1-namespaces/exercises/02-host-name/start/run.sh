#!/bin/sh
# This renames the machine. Make it rename its own.
set -eu

exec unshare --mount sh -c '
	hostname box
	exec sleep 60'
