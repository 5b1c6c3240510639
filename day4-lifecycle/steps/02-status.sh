#!/bin/sh
# Step 2. New: a parent for the job, the shim: only a parent learns the status with which its child ends.
# Run: sh day4-lifecycle/steps/02-status.sh
# Still wrong: kill -9 of the shim, and the job runs on without a keeper of its books. Step 4 lets it die as well.
# shellcheck disable=SC2016 # what show gets is run
. "$(dirname "$0")/lib.sh"
workdir

# The status of a process that has ended stays in the kernel until its parent asks for it: until then the process is
# a zombie, Z. This parent, sleep, never asks. The last field of stat is the status, times 256. proc_pid_stat(5)
show 'sh -c "sh -c \"echo \\\$\\\$ >pid; exit 7\" & exec sleep 60" &'
later "kill -KILL $!"
show 'until [ -s pid ] && grep -q ") Z" /proc/$(cat pid)/stat; do sleep 0.1; done; ps -o pid,stat,comm -p $(cat pid)'
show 'cut -d " " -f 52 /proc/$(cat pid)/stat'

# Nobody else can ask: wait(2) is for one's own children. Here they are 127 and nothing more.
show '! wait $(cat pid)'

# So somebody has to stay who is its parent. containerd and conmon call theirs shim, ours is a line of shell. It
# holds a lock. The kernel lets go of the lock when the last one who has it open ends, in whatever way: so the lock
# says that the shim lives, and cannot lie. The job must not have it open: 9>&-. flock(2)
cat >shim <<'SHIM'
exec 9>lock; flock 9
sh -c "$1" 9>&- & echo $! >pid; wait $!
echo $? >status
SHIM
show 'rm pid; touch busy; setsid sh shim "while [ -e busy ]; do sleep 0.1; done; exit 7" >log 2>&1 & until [ -s pid ]; do sleep 0.1; done'
show '! flock -n lock echo the shim is gone'
show 'rm busy; flock lock cat status'

# But what if the shim is killed? Nobody writes a status, and the job has no idea.
show 'rm status pid; setsid sh shim "exec sleep 60" & until [ -s pid ]; do sleep 0.1; done'
later "kill -KILL $! \$(cat pid)"
show 'until grep -q sleep /proc/$(cat pid)/comm; do sleep 0.1; done; kill -9 $!; wait $! || true'
show 'flock -n lock echo the shim is gone'
show 'ps -o stat,args -p $(cat pid); kill $(cat pid)'
