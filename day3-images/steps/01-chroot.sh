#!/bin/sh
# Step 1. New: a root directory made of one program; chroot(2), and what pivot_root(2) does better.
# Run: sh day3-images/steps/01-chroot.sh; or, to make the root and nothing more, ... 01-chroot.sh /tmp/root
# Still wrong: a change to it stays, for everybody who has this directory as root.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || cannot "only root may chroot and mount: run it as root"
busybox=$(command -v busybox) || cannot "there is no busybox: install the package busybox-static"
if [ $# -gt 0 ]; then mkdir "$1"; cd "$1"; else workdir; fi

# busybox is one program with a few hundred names. It needs no library, so it works where there is nothing else.
show mkdir bin proc old
show cp "$busybox" bin/busybox
chroot . /bin/busybox true || cannot "$busybox wants libraries: install the package busybox-static"
show chroot . /bin/busybox --install /bin
show "ls bin | wc -l"
[ $# = 0 ] || exit 0

# chroot(2) changes one thing: where the paths of a process start.
show chroot . ls -x /

# But not what is mounted. The machine's root is still there, and process 1, this shell, still has it: the first
# chroot goes in, the second is run in there and gets out.
inside "unshare --mount --pid --fork" <<'END'
mount -t proc proc proc
chroot . chroot /proc/1/root ls -x /
END

# pivot_root changes the mounts. A root has to be a mount, so the directory is mounted on itself. Then it gets the
# place of the old root, which moves to old; and without old, there is no way back.
inside "unshare --mount --pid --fork" <<'END'
mount --bind . .
# The mount is on the directory that we are in. Enter it once more, and we are in the mount.
cd "$PWD"
pivot_root . old
# This shell has a new root, too, and so other programs. Setting PATH makes it forget where they were.
PATH=/bin
mount -t proc proc /proc
# -l (lazy): even though it is in use, by this shell, which is a program of the old root.
umount -l /old
cut -d ' ' -f 5 /proc/self/mountinfo
chroot /proc/1/root ls -x /
END
