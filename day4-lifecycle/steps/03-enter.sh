#!/bin/sh
# Step 3. New: nsenter(1): one more command in namespaces that exist; and signals to a process 1.
# Run: sh day4-lifecycle/steps/03-enter.sh, as root
# Still wrong: a number is no process. The last lines kill a stranger.
. "$(dirname "$0")/lib.sh"
private
workdir

# A box with a process 1 that has no handler for SIGTERM. With --kill-child it dies when unshare dies.
show 'unshare --uts --pid --mount-proc --fork --kill-child sh -c "hostname box; touch up; sleep 60; true" 2>err & until [ -e up ]; do sleep 0.1; done'
box=$!
later "kill -KILL $box"
pid=$(ps -o pid= --ppid "$box" | tr -d ' ')

# To run a command in there, open the files in /proc/PID/ns and call setns(2) with each.
show "ls /proc/$pid/ns"
show "nsenter --target $pid --uts --pid --mount sh -c 'hostname; ps -e -o pid,args'"

# Process 1 gets only those signals that it has a handler for, or a mistake would end everything. From inside not
# even SIGKILL reaches it; from outside SIGKILL and SIGSTOP do. pid_namespaces(7)
show "kill -TERM $pid; nsenter --target $pid --pid --mount kill -KILL 1"
show "sleep 0.2; ps -o stat,args -p $pid"
show "kill -KILL $pid; wait $box || true"
show "! nsenter --target $pid --uts --pid --mount hostname"

# Process ids come round again. In a PID namespace of one's own one can choose the next. pid_namespaces(7)
inside "unshare --pid --mount-proc --fork" <<'BOX'
sleep 60 & pid=$!; kill $pid; wait $pid || true
echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
sleep 61 & kill $pid; wait $! || echo "killed a stranger: $?"
BOX
