#!/bin/sh
# A root of one's own: chroot, how to get out of it, and pivot_root.
# chroot(2), pivot_root(2), mount_namespaces(7)
#
# Shows    a root directory with no more than /bin, /lib and the like in it; the way out
#          of a chroot; and that after pivot_root there is nothing left to get out to.
# Look at  ls /: whose root is it?
# Needs    root.
# Leaves   nothing: all mounts are in a mount namespace of their own.
# Go       rootfs/rootfs.go, pivot
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=${1-}
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; }
fail() { echo "$me: $*" >&2; exit 1; }

case $at in
inside) # in a mount namespace of our own; "$root" is the directory to be /
	mount -t tmpfs tmpfs "$root"
	# Borrow the host's programs. Where /bin is a link to usr/bin, so it is here.
	for dir in /bin /sbin /lib /lib64 /usr; do
		if [ -L "$dir" ]; then cp -P "$dir" "$root$dir"
		elif [ -d "$dir" ]; then mkdir "$root$dir"; mount --bind "$dir" "$root$dir"; fi
	done
	mkdir "$root/proc" "$root/old"
	echo "this is the new root" >"$root/here"
	echo "# A directory with the host's programs in it. chroot makes it the root:"
	show "chroot $root ls /"
	[ "$(chroot "$root" cat /here)" = "this is the new root" ] || fail "chroot did not change the root"

	echo "# The way out. chroot changes where this process's paths start, and nothing else: not"
	echo "# which mounts and processes there are. Process 1 still has the old root, and /proc leads there."
	said=$(show "chroot $root sh -c 'mount -t proc proc /proc && chroot /proc/1/root ls -d $root/here /etc'")
	echo "$said"
	case $said in *"
/etc"*) ;; *) fail "did not get out of the chroot" ;; esac
	umount "$root/proc"

	echo "# pivot_root makes it the root of the whole mount namespace; then the old one is let go of."
	cd "$root"
	pivot_root . old
	exec chroot . sh -c "$(cat <<'END'
		set -e; at=pivoted; show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; }
		mount -t proc proc /proc
		umount -l /old; rmdir /old
		show ls /
		echo "# Process 1 is in this mount namespace: its root is the same, and the same way leads nowhere."
		show 'chroot /proc/1/root ls /'
		echo "# Of the mounts of the host not one is left:"
		show "cut -d' ' -f5 /proc/self/mountinfo"
		[ -e /proc/1/root/here ] || { echo "there is still a way out" >&2; exit 1; }
END
	)" ;;
*)
	[ "$(id -u)" = 0 ] || { echo "$me: only root may mount and chroot: run it as root" >&2; exit 125; }
	root=$(mktemp -d "/tmp/go-docker-step.$$.XXXXXX"); export root
	trap 'rmdir "$root"' EXIT
	trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
	# A PID namespace as well, but /proc is still the host's: that is what chroot forgets.
	unshare --mount --pid --fork sh -c "mount --make-rprivate / && exec sh ./$me inside"
	[ ! -e "$root/here" ] || fail "a mount is visible on the host"
	;;
esac
