#!/bin/sh
# Layers are tar archives. OCI image specification, layer.md
#
# Shows    an image of two layers, made and unpacked by tar; why tar alone is not enough;
#          and the two names of a layer, its digest and its diff ID.
# Look at  .wh.doomed: what a deletion looks like in an archive.
# Needs    root, to make the whiteout and to mount the layers.
# Leaves   nothing.
# Go       layer/unpack.go, layer/whiteout.go, store/store.go
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; }
fail() { echo "$me: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || { echo "$me: only root may make a whiteout: run it as root" >&2; exit 125; }
dir=$(mktemp -d "/tmp/go-docker-step.$$.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
cd "$dir"

mkdir one two
echo "from layer 1" >one/greeting; echo "from layer 1" >one/doomed
echo "from layer 2" >two/greeting; : >two/.wh.doomed
show tar -cf one.tar -C one .
show tar -cf two.tar -C two .
show tar -tf two.tar

echo "# tar knows nothing of .wh.: unpacked over each other, the deleted file is still there."
mkdir plain
show "tar -xf one.tar -C plain && tar -xf two.tar -C plain"
show ls -A plain
[ -e plain/doomed ] || fail "tar has deleted a file?"

echo "# So each layer gets a directory, and each .wh.NAME becomes what overlayfs understands."
mkdir layer1 layer2
tar -xf one.tar -C layer1; tar -xf two.tar -C layer2
show "rm layer2/.wh.doomed && mknod layer2/doomed c 0 0"
show ls -l layer2
mkdir merged
show "unshare --mount sh -c 'mount -t overlay overlay -o lowerdir=layer2:layer1 merged && ls merged && cat merged/greeting'" | tee seen
if grep -q doomed seen || ! grep -q "layer 2" seen; then fail "the layers are not what overlayfs understands"; fi

echo "# The diff ID names the archive itself; the digest names what travels, often compressed."
show sha256sum two.tar
show "gzip -n -c two.tar | sha256sum"
[ "$(gzip -n -c two.tar | gzip -dc | sha256sum)" = "$(sha256sum <two.tar)" ] || fail "compressing has changed the archive"
echo "# Packed again it is another layer if anything differs, be it a time."
show "touch -d @0 two/greeting && tar -cf again.tar -C two ."
show sha256sum again.tar
! cmp -s two.tar again.tar || fail "a time makes no difference?"
