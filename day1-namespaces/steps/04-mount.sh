#!/bin/sh
# Step 4. New: mounts of its own: a mount namespace, once its mounts are private. mount_namespaces(7)
# Run: sh day1-namespaces/steps/04-mount.sh
# Still wrong: the mounts are the shell's own, the files below them are not: rm removes the machine's (day 3).
. "$(dirname "$0")/lib.sh"

show readlink /proc/self/ns/mnt

# This shell plays the machine, so that yours is safe. It makes all of its mounts shared, as systemd does on a
# real one. A new mount namespace has a copy of every mount, and the copy of a shared mount stays its peer:
# whatever is mounted below one of them appears below the other. mount_namespaces(7), SHARED SUBTREES
inside "$new --mount" <<'END'
readlink /proc/self/ns/mnt
mount --make-rshared /
# Mounted in another namespace, by a shell that has ended, and there it is. (leak is just a label to look for.)
# shared:N names the group of peers.
unshare --mount --propagation unchanged sh -c 'mount -t tmpfs leak /mnt'
grep -o '/mnt .* leak' /proc/self/mountinfo
umount /mnt
# unshare(1) makes the copies private unless told otherwise. clone(2), which a program calls, does not: step 9.
unshare --mount --propagation private sh -c 'mount -t tmpfs leak /mnt; grep -c leak /proc/self/mountinfo'
! grep leak /proc/self/mountinfo
END
