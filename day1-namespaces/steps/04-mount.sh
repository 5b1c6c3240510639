#!/bin/sh
# A mount namespace: mounts of one's own, once they are private.
# mount_namespaces(7), Documentation/filesystems/sharedsubtree.rst
#
# Shows    a tmpfs mounted in a new mount namespace that the machine sees too, and
#          what must be done first so that it does not.
# Look at  shared:N in the mountinfo lines: mounts with the same N copy each other.
# Needs    root, or a kernel that lets plain users make user namespaces.
# Leaves   nothing: the machine is played by one more mount namespace.
# Go       CLONE_NEWNS, then mount("", "/", "", MS_REC|MS_PRIVATE, "") before all else
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=${1-}
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }
look="grep '/mnt .* go-docker-step' /proc/self/mountinfo"

if [ "$at" ]; then
	show readlink /proc/self/ns/mnt
	[ "$(readlink /proc/self/ns/mnt)" != "$outside" ] || fail "still in the old mount namespace"
fi
case $at in
'')
	new=unshare; [ "$(id -u)" = 0 ] || new='unshare --user --map-root-user'
	$new --mount true 2>/dev/null || cannot "may not make namespaces here: run it as root"
	outside=$(readlink /proc/self/ns/mnt); export outside
	show readlink /proc/self/ns/mnt
	show "$new --mount sh $me machine"
	! eval "$look" || fail "a mount has leaked to this machine" ;;
machine)
	# systemd makes every mount of a real machine shared. Here nobody may have.
	show mount --make-rshared /
	# The kernel copies the mounts for a new namespace and keeps the shared ones in
	# step with their originals. unshare(1) by itself would make the copies private.
	show "unshare --mount --propagation shared sh $me shared"
	show "$look" || fail "a mount below a shared one did not propagate"
	show umount /mnt
	show "unshare --mount --propagation shared sh $me private"
	show "$look || echo 'no such mount here'"
	! eval "$look" || fail "a mount below a private one propagated" ;;
shared | private)
	[ "$at" = shared ] || show mount --make-rprivate /
	show mount -t tmpfs go-docker-step /mnt
	show "$look" ;;
esac
