#!/bin/sh
# Step 1. New: a process that outlives its terminal: it has a session of its own, and a file for what it says.
# Run: sh day4-lifecycle/steps/01-session.sh
# Still wrong: when it ends, nobody learns with what status: step 2.
. "$(dirname "$0")/lib.sh"
command -v script >/dev/null || cannot "there is no script(1): install the package bsdutils"
workdir

# The job says who its parent is, which session it belongs to and which terminal that has.
cat >job <<'JOB'
trap 'echo "SIGHUP: the terminal hangs up"; exit' HUP
ps -o ppid,sid,tty,comm -p $$
sleep 3
ps -o ppid,sid,tty,comm -p $$
echo "still here"
JOB
later '[ ! -s log ] || until grep -q -e SIGHUP -e still log; do sleep 0.1; done' # not even ^C ends a job with a session

# script(1) runs a shell with a terminal of its own and takes the terminal away when the shell ends, as ssh does at
# the end of a connection. When the leader of a session ends, the kernel sends SIGHUP to the process group in the
# terminal's foreground. That is the job's, too: a shell that runs a script gives its jobs no group of their own.
# Later writes to the terminal fail with EIO. credentials(7), tty_ioctl(4)
show "script -qc 'sh job >log 2>&1 & until [ -s log ]; do sleep 0.1; done' /dev/null"
show 'until grep -q SIGHUP log; do sleep 0.1; done; cat log; rm log'

# setsid(2) makes a new session, which has no terminal (?). Its parent has gone, so it has a new one: process 1, or
# whoever has asked for orphans with prctl(2), PR_SET_CHILD_SUBREAPER.
show "script -qc 'setsid sh job >log 2>&1 </dev/null & until [ -s log ]; do sleep 0.1; done' /dev/null"
show 'until grep -q still log; do sleep 0.1; done; cat log'
