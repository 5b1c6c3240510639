#!/bin/sh
# An overlay: one tree made of several. Documentation/filesystems/overlayfs.rst
#
# Shows    what reading, changing, deleting and replacing do in the upper directory,
#          while the lower one stays as it is.
# Look at  ls -l upper: the copy, and the whiteout, a character device 0, 0.
# Needs    root.
# Leaves   nothing: all mounts are in a mount namespace of their own.
# Go       rootfs/overlay.go, layer/whiteout.go
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; }
fail() { echo "$me: $*" >&2; exit 1; }

if [ "${1-}" != inside ]; then
	[ "$(id -u)" = 0 ] || { echo "$me: only root may mount an overlay: run it as root" >&2; exit 125; }
	dir=$(mktemp -d "/tmp/go-docker-step.$$.XXXXXX"); export dir
	trap 'rmdir "$dir"' EXIT
	trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
	modprobe overlay 2>/dev/null || true # most kernels load it by themselves
	unshare --mount sh -c "mount --make-rprivate / && exec sh ./$me inside"
	exit
fi

mount -t tmpfs tmpfs "$dir" # an upper directory cannot be on an overlay, and / may be one
cd "$dir"
mkdir lower upper work merged lower/box
for file in keep change doomed box/inside; do echo "from lower" >"lower/$file"; done
show mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
show ls merged
show "ls upper | wc -l"

echo "# Changing copies the file up first: copy-up. The lower one is never written to."
show "echo 'from the container' >> merged/change"
show cat lower/change
show cat upper/change
[ "$(cat lower/change)" = "from lower" ] || fail "the lower file has changed"

echo "# Deleting cannot delete either, so it leaves a whiteout that hides the file."
show rm merged/doomed
show ls -l upper/doomed
[ -c upper/doomed ] || fail "no whiteout in the upper directory"
[ -e lower/doomed ] || fail "the lower file is gone"
[ ! -e merged/doomed ] || fail "the file is still to be seen"

echo "# A directory that was removed and made again is opaque: nothing of the lower one shows through."
show "rm -r merged/box && mkdir merged/box"
show ls -A merged/box
if command -v getfattr >/dev/null; then show "getfattr -n trusted.overlay.opaque upper/box"; fi
[ -z "$(ls -A merged/box)" ] || fail "the old content shows through"

echo "# Renaming a file is a copy and a whiteout."
show mv merged/keep merged/kept
show "ls -l upper | tail -n +2"
[ -c upper/keep ] || fail "no whiteout for the old name"
