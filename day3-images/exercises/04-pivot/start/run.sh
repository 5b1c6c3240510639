#!/bin/sh
# pivot_root fails, and the script goes on: sleep then runs on the machine's own root.
# $ROOT is a directory with a root file system, in it an empty directory old.
set -eu

# shellcheck disable=SC2016 # the inner shell knows them, too
exec unshare --mount sh -c '
	cd "$ROOT"
	pivot_root . old
	cd /
	exec sleep 60'
