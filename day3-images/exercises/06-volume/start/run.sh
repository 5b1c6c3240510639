#!/bin/sh
# A root of its own, all of it writable. $VOLUME is a directory to appear as /data.
set -eu

# shellcheck disable=SC2016 # the inner shell knows them, too
exec unshare --mount sh -euc '
	mount --rbind "$ROOT" "$ROOT"
	cd "$ROOT"
	pivot_root . old
	cd /
	mount -t proc proc /proc
	umount -l /old
	exec sleep 60'
