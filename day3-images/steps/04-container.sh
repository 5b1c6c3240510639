#!/bin/sh
# 04-container.sh [COMMAND [ARG...]]: a container on two image layers and one of its own.
# overlayfs.rst, pivot_root(2), namespaces(7)
#
# Shows    the whole chapter in shell: layers, overlay, pivot_root, /proc, /dev, a COMMAND.
# Look at  what is in the container's own layer afterwards; the image's have not changed.
# Needs    root.
# Exit     the COMMAND's.
# Leaves   nothing: all mounts are in a mount namespace of their own.
# Go       imagerun.go, rootfs/rootfs.go
set -eu
cd "$(dirname "$0")"; me=${0##*/}
fail() { echo "$me: $*" >&2; exit 1; }

case ${1-} in
--mounts) # in our own mount namespace, outside the container
	shift
	mount -t tmpfs tmpfs "$dir"
	mkdir "$dir/layer1" "$dir/layer2" "$dir/upper" "$dir/work" "$dir/merged"
	for d in bin sbin lib lib64 usr; do # layer 1: the host's programs, as links or to be mounted
		if [ -L "/$d" ]; then cp -P "/$d" "$dir/layer1/$d"; elif [ -d "/$d" ]; then mkdir "$dir/layer1/$d"; fi
	done
	mkdir "$dir/layer1/etc" "$dir/layer1/proc" "$dir/layer1/dev"
	echo "from layer 1" >"$dir/layer1/etc/motd"; echo "from layer 1" >"$dir/layer1/etc/doomed"
	mkdir "$dir/layer2/etc"
	echo "from layer 2" >"$dir/layer2/etc/motd" # changes a file of layer 1
	mknod "$dir/layer2/etc/doomed" c 0 0        # and deletes one
	# The uppermost layer comes first.
	mount -t overlay overlay -o "lowerdir=$dir/layer2:$dir/layer1,upperdir=$dir/upper,workdir=$dir/work" "$dir/merged"
	for d in bin sbin lib lib64 usr; do
		if [ -d "/$d" ] && [ ! -L "/$d" ]; then mount --bind "/$d" "$dir/merged/$d"; fi
	done
	echo "# two layers of an image:"; (cd "$dir" && find layer[12]/etc ! -type d -exec ls -l {} +)
	echo "# the container:"
	status=0
	unshare --mount --uts --ipc --net --pid --fork sh "./$me" --root "$@" || status=$?
	echo "# its own layer:"; (cd "$dir" && find upper ! -type d -exec ls -l {} +)
	[ "$(cat "$dir/layer2/etc/motd")" = "from layer 2" ] || fail "the image has changed"
	exit "$status" ;;
--root) # PID 1 of the container, still in the old root
	shift
	mount -t proc proc "$dir/merged/proc"
	mount -t tmpfs tmpfs "$dir/merged/dev"
	for n in 'null c 1 3' 'zero c 1 5' 'urandom c 1 9' 'tty c 5 0'; do
		# shellcheck disable=SC2086 # four words are meant
		set -- $n "$@"; mknod -m 666 "$dir/merged/dev/$1" "$2" "$3" "$4"; shift 4
	done
	hostname container
	cd "$dir/merged"
	mkdir dev/old # on the tmpfs, so it does not count as a change
	pivot_root . dev/old
	exec chroot . sh -c 'umount -l /dev/old && rmdir /dev/old && exec "$@"' sh "$@" ;;
*)
	[ "$(id -u)" = 0 ] || { echo "$me: only root may mount an overlay: run it as root" >&2; exit 125; }
	[ $# -gt 0 ] || set -- sh -c 'set -x; ls / /etc; cat /etc/motd; echo "from the container" >/etc/motd; echo new >/etc/new'
	dir=$(mktemp -d "/tmp/go-docker-step.$$.XXXXXX"); export dir
	trap 'rmdir "$dir"' EXIT
	trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
	modprobe overlay 2>/dev/null || true # most kernels load it by themselves
	status=0
	unshare --mount sh -c 'mount --make-rprivate / && exec sh "$@"' sh "./$me" --mounts "$@" || status=$?
	exit "$status" ;;
esac
