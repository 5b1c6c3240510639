#!/bin/sh
# Step 7. New: all seven namespaces at once, around whatever command you like. namespaces(7), unshare(1)
# Run: sh day1-namespaces/steps/07-all.sh, or with a command: sh day1-namespaces/steps/07-all.sh ps -e
# Still wrong: process 1 is a shell: it passes no signal on, so kill -TERM never reaches the command (step 11).
. "$(dirname "$0")/lib.sh"

case ${1-} in
--inside)
	shift
	# clone(2) and unshare(2) make namespaces and do not furnish them. That has to happen inside, before the command.
	mount -t proc proc /proc
	hostname container
	ip link set lo up
	# Process 1 does not become the command, but starts it: ( ) is a child. The kernel drops every signal that
	# process 1 has no handler for, and makes process 1 the parent of all orphans. pid_namespaces(7)
	status=0
	(exec "$@") || status=$?
	exit "$status" ;;
-*) cannot "usage: $me [COMMAND [ARG...]]" ;;
'') # without a command: which namespaces it is in, outside and inside
	# shellcheck disable=SC2016,SC2046 # for the shell in there; one word for each namespace
	set -- sh -c 'printf "%-8s %-14s %s\n" "" outside inside
		for outside; do
			inside=$(readlink "/proc/self/ns/${outside%%:*}")
			printf "%-8s %-14s %s\n" "${outside%%:*}" "${outside#*:}" "${inside#*:}"
		done' sh $(cd /proc/self/ns && readlink user mnt uts ipc net pid cgroup) ;;
esac

unshare --user --map-root-user --net true 2>/dev/null || cannot "no user namespaces here: run it as root"
# --kill-child: when unshare dies, by kill -9 too, so does its child, process 1; and with process 1 the kernel kills
# all others in its PID namespace. prctl(2), PR_SET_PDEATHSIG
# --cgroup: the seventh kind. Its cgroup looks like the root of all cgroups from inside; day 2 says what a cgroup is.
exec unshare --user --map-root-user --mount --uts --ipc --net --pid --cgroup --fork --kill-child \
	sh "$0" --inside "$@"
