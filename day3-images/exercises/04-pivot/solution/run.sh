#!/bin/sh
set -eu

# A mount point of its own (EINVAL otherwise), with the mounts below it. And -e: nothing runs
# when a step has failed.
# shellcheck disable=SC2016 # the inner shell knows them, too
exec unshare --mount sh -euc '
	mount --rbind "$ROOT" "$ROOT"
	cd "$ROOT"
	pivot_root . old
	cd /
	mount -t proc proc /proc
	umount -l /old
	exec sleep 60'
