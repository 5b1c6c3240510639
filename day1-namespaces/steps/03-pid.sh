#!/bin/sh
# Step 3. New: process ids of its own: a PID namespace, and a /proc that shows it. pid_namespaces(7), proc(5)
# Run: sh day1-namespaces/steps/03-pid.sh
# Still wrong: the shell is process 1, and the kernel shields that: kill -TERM $$ in it does nothing (step 11).
. "$(dirname "$0")/lib.sh"

show readlink /proc/self/ns/pid

# A process keeps its id for life, so unshare(2) cannot move its caller: only the children it forks from
# then on are in the new namespace. Hence --fork.
inside "$new --pid --fork --mount" <<'END'
readlink /proc/self/ns/pid
echo $$
# ps reads /proc, and a mounted /proc answers for the PID namespace it was mounted in: the machine's.
ps -e -o pid,comm | sed 3q
# NSpid has the ids of a process, one for each namespace from that of this /proc down to its own: grep has two.
grep NSpid /proc/self/status
# The new /proc covers the old one, in this mount namespace only (step 4). In it grep has one id.
mount -t proc proc /proc
ps -e -o pid,comm
grep NSpid /proc/self/status
END
