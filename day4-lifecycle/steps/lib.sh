#!/bin/sh
# What every shell step begins with: how it shows what it runs, and how it cleans up. The same file in each chapter.
#
#   show CMD             prints "$ CMD" and runs it. With "! " before it, CMD is one that has to fail.
#   inside "NEW" <<'END' starts a shell with NEW, such as unshare --uts, which shows and runs the lines up to END
#   later CMD            runs CMD when the script ends, however it ends; the last one first
#   workdir              goes to a new directory, which is removed at the end
#   private              goes on in a mount namespace of its own: what is mounted there ends with the script
#   remove_cgroup DIR    kills what is in DIR and removes it
#   unmount DIR NAME     unmounts the cgroup hierarchy NAME, and sees to it that it is gone (day 2)
#   needroot             stops if this is not root
#   cannot TEXT          stops because this machine does not have what the step is about: exit status 125
# shellcheck disable=SC2034,SC2016 # the steps use these; the strings are code for eval
set -eu
me=${0##*/} prompt='$ ' undo=''
# Only root may make most namespaces. But everybody may make a user namespace, and is root in it: day 1, step 6.
new=unshare
[ "$(id -u)" = 0 ] || new='unshare --user --map-root-user'

fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }
needroot() { [ "$(id -u)" = 0 ] || cannot "cgroups belong to the whole machine: run it as root"; }

# Shows and runs $line. It is text for eval, because the shell that inside starts has none of these functions.
typed='printf "%s%s\n" "$prompt" "${line#! }"
	case $line in
	"! "*) if eval "${line#! }"; then echo "this should have failed: $line" >&2; exit 1; fi ;;
	*) eval "$line" ;;
	esac'
show() { line=$*; eval "$typed"; }

# The lines come in as descriptor 3, so that no command among them can read the rest. $0 is what follows the
# script of sh -c: $typed.
inside() {
	$1 true 2>/dev/null || cannot "not allowed here: $1: run it as root"
	echo "$prompt$1 sh"
	$1 sh -c 'set -eu; prompt="# "
		while IFS= read -r line <&3; do case $line in "#"*) ;; *) eval "$0" ;; esac; done' "$typed" 3<&0 </dev/null
	echo '# exit'
}

later() {
	undo="$*
$undo"
	trap 'trap "" HUP INT PIPE TERM; set +eu; eval "$undo" 2>/dev/null' EXIT
	trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 141' PIPE; trap 'exit 143' TERM
}

workdir() {
	trap '' HUP INT TERM # until the name to clean up is known
	tmp=$(mktemp -d "${TMPDIR:-/tmp}/go-docker-step.$$.XXXXXX")
	later "cd /; rm -rf --one-file-system '$tmp'"
	cd "$tmp"
}

private() {
	needroot
	[ -n "${STEP_IS_PRIVATE-}" ] || STEP_IS_PRIVATE=1 exec unshare --mount sh "$0"
}

remove_cgroup() {
	for _ in $(seq 100); do # a killed process leaves its cgroup a moment later
		[ -d "$1" ] || return 0
		rmdir "$1" 2>/dev/null && return
		while read -r pid; do kill -KILL "$pid" || true; done <"$1/cgroup.procs"
		sleep 0.1
	done
}

unmount() {
	cd /
	# The kernel frees a removed cgroup a moment later. A hierarchy that is unmounted before that lives on
	# without a mount: then mount it once more.
	for _ in $(seq 50); do
		sleep 0.1
		umount "$1"
		sleep 0.1
		grep -q "name=$2:" /proc/self/cgroup || return 0
		mount -t cgroup -o "none,name=$2" "$2" "$1"
	done
}
