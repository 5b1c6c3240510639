#!/bin/sh
# Step 2. New: message queues of its own: an IPC namespace. ipc_namespaces(7), mq_overview(7)
# Run: sh day1-namespaces/steps/02-ipc.sh
# Still wrong: POSIX shared memory is not covered: /dev/shm holds files, and files are a matter of mounts (step 4).
. "$(dirname "$0")/lib.sh"

show readlink /proc/self/ns/ipc

# A queue outlives its maker. One made in the machine's own namespace would stay until the next boot, so a
# first new namespace plays the machine, and takes its queues along when it ends. (--mount: step 4. It keeps what
# we mount on /mnt to ourselves.)
inside "$new --ipc --mount" <<'END'
readlink /proc/self/ns/ipc
# There are two kinds of message queues. The newer, of POSIX, are files of an mqueue file system, which shows the
# IPC namespace of whoever mounted it.
mount -t mqueue mqueue /mnt
touch /mnt/hello
ls /mnt
unshare --ipc --mount sh -c 'mount -t mqueue mqueue /mnt; ls /mnt | wc -l'
# The older, of System V, have no files, only the kernel's list of them, which starts with a heading.
ipcmk -Q
tail -n +2 /proc/sysvipc/msg | wc -l
unshare --ipc sh -c 'tail -n +2 /proc/sysvipc/msg | wc -l'
END
