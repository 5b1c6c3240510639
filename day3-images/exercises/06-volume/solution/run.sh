#!/bin/sh
set -eu

# remount,bind changes the flags of this mount; without bind, those of the file system, for everybody.
# shellcheck disable=SC2016 # the inner shell knows them, too
exec unshare --mount sh -euc '
	mount --rbind "$ROOT" "$ROOT"
	mount --bind "$VOLUME" "$ROOT/data"
	mount -o remount,bind,ro "$ROOT"
	cd "$ROOT"
	pivot_root . old
	cd /
	mount -t proc proc /proc
	umount -l /old
	exec sleep 60'
