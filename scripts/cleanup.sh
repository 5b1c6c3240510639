#!/bin/sh
# cleanup.sh [--dry-run]: remove what killed runs left behind, and nothing else.
#
# Names say what is ours, and whose it was (ID is 12 hexadecimal digits):
#
#   /run/go-docker/ID.json    record of a container; its parent holds flock(2) on it
#   go-docker-ID              the container's cgroups, in any hierarchy
#   /tmp/go-docker-ID*        its temporary files; day 3's demo holds flock(2) on its directory
#   go-docker-step.PID        cgroups, or a v1 hierarchy, of a shell step; PID is its shell,
#                             or scripts/check, which names its own in the same way
#   /tmp/go-docker-step.PID.* the step's temporary directory
#   go-docker-demo-memory     the cgroup of day 2's step 5, which never removes it
#   STORE/networks            day 5's: who is on which network, and what was changed on the machine
#                             for it (STORE is $GO_DOCKER_ROOT, otherwise /var/lib/go-docker)
#   gd-ID go-d-* go-docker0   its bridges; gdv* are its containers' links
#   go-docker go-docker-*     its nft tables, of the families inet and bridge
#
# It may run while containers start and end. A parent writes and locks its
# record before it makes anything else, and removes it last; the kernel drops
# the lock when the parent dies, however it dies. So:
#
# - A record that is locked has a living owner: nothing of that ID is touched.
# - A record whose lock is free has a dead owner: all of that ID goes, running
#   processes too. The exception is the instant between a parent's open(2) and
#   its flock(2), when the record is still empty: an empty one gets 3 seconds.
# - A cgroup or file without a record is not one of a container that is
#   starting: we see the thing first and look for its record afterwards, and by
#   then it exists. But there may be containers whose /run is not ours, in
#   another mount namespace. So these go only if twice, 3 seconds apart, they
#   have no record and no process. If one comes alive in between, the kernel
#   decides: rmdir of a cgroup with a process in it is EBUSY.
#
# - Of a store's networks, all goes if each container on them is dead: nobody holds the
#   lock that its record names. While one lives, rules and bridges are in use; what
#   the others have left is then removed by day 5's next command. A bridge that
#   no store knows goes if twice, 3 seconds apart, it has no ports, and the
#   tables with the last bridge.
#
# PIDs are reused, IDs are not. A step counts as alive while its PID runs a shell,
# a shell script or the exercises' checker: better one leftover too many than one
# victim. A record's PID is never used; a container's processes are those in its
# cgroups.
#
# Exit status: 0 everything is clean, 1 something could not be removed (it says
# what), 125 bad option or not root.

# Splitting lists at line ends is meant:
# shellcheck disable=SC2046,SC2013,SC2044,SC2231
set -u
LC_ALL=C
export LC_ALL
IFS='
' # lists are one path or PID a line, and lines may hold blanks

RUN=/run/go-docker
STORE=${GO_DOCKER_ROOT:-/var/lib/go-docker}
d='[0-9a-f]'
ID=$d$d$d$d$d$d$d$d$d$d$d$d # as a pattern
me=${0##*/}

dry='' said='' failed=''
case ${1:-} in
'') ;;
--dry-run) dry=yes ;;
*)
	echo "usage: $0 [--dry-run]" >&2
	exit 125
	;;
esac

# --- what there is

hierarchies() { # their mount points; mountinfo is described in proc_pid_mountinfo(5)
	awk '{ for (i = 7; i < NF && $i != "-"; i++); if ($(i+1) ~ /^cgroup2?$/) print $5 }' /proc/self/mountinfo | sort -u
}

cgroups_named() { # PATTERN
	for h in $(hierarchies); do
		find "$h" -xdev -type d -name "$1" -prune 2>/dev/null
	done
}

processes_in() { # CGROUP...; a 0 stands for one outside our PID namespace
	for c in "$@"; do
		find "$c" -name cgroup.procs -exec cat {} + 2>/dev/null
	done | sort -u | grep -v '^0$'
}

ids() { # of all cgroups and temporary files that have one in their names
	for f in $(cgroups_named "go-docker-$ID") /tmp/go-docker-$ID*; do
		f=${f##*/go-docker-}
		case $f in $ID*) printf '%.12s\n' "$f" ;; esac
	done | sort -u
}

dead_steps() { # their PIDs
	all=$({
		for f in $(cgroups_named 'go-docker-step.[0-9]*') /tmp/go-docker-step.[0-9]*; do
			f=${f##*/go-docker-step.}
			echo "${f%%.*}"
		done
		# also a hierarchy that is mounted nowhere: it lives as long as it has cgroups
		sed -n 's/^[0-9]*:name=go-docker-step\.\([0-9]*\):.*/\1/p' /proc/self/cgroup
	} | grep '^[0-9][0-9]*$' | sort -u)
	for pid in $all; do step_alive "$pid" || echo "$pid"; done
}

step_alive() { # PID
	for word in $(tr '\000' '\n' <"/proc/$1/cmdline"); do
		word=${word##*/}
		case ${word#-} in *.sh | sh | ash | dash | bash | busybox | ksh | zsh | check | check.test) return 0 ;; esac
	done 2>/dev/null
	return 1
}

# --- removing

say() { # VERB OBJECT
	said=yes
	if [ -n "$dry" ]; then echo "would $1 $2"; else echo "${1%e}ed $2"; fi
}

complain() {
	said=yes failed=yes
	echo "$me: $*" >&2
}

pause() { sleep 0.05 2>/dev/null || sleep 1; }

# kill_in CGROUP...: kill until nobody is left. cgroup.kill (v2, since 5.14)
# gets all at once; otherwise the list may be old as soon as it is read, so no
# more forks (pids.max), and again until it stays empty. A frozen process of v1
# dies only when thawed, so SIGKILL first, and it never runs again.
kill_in() {
	pids=$(processes_in "$@")
	[ -n "$pids" ] || return 0
	if echo "$pids" | grep -qx $$; then
		complain "you are in $1 yourself: leave it first, with echo \$\$ >cgroup.procs of the cgroup above"
		return 1
	fi
	say kill "$(echo "$pids" | tr '\n' ' ')in $1"
	[ -z "$dry" ] || return 0
	for _ in $(seq 100); do
		for c in "$@"; do
			if [ -e "$c/cgroup.kill" ]; then
				echo 1 >"$c/cgroup.kill"
			else
				[ ! -e "$c/pids.max" ] || echo 0 >"$c/pids.max"
				for p in $(processes_in "$c"); do kill -KILL "$p" 2>/dev/null; done
				for f in $(find "$c" -name freezer.state 2>/dev/null); do echo THAWED >"$f"; done
			fi
		done
		pause
		pids=$(processes_in "$@")
		[ -n "$pids" ] || return 0
	done
	complain "cannot kill $(echo "$pids" | tr '\n' ' ')in $1"
	return 1
}

# remove_cgroup CGROUP: only rmdir removes one, deepest first, and for a moment
# after the last process has died it may still be EBUSY.
remove_cgroup() {
	[ -d "$1" ] || return 0
	for _ in $(seq 20); do
		[ -n "$dry" ] || find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null
		if [ -n "$dry" ] || [ ! -d "$1" ]; then
			say remove "cgroup $1"
			return 0
		fi
		pause
	done
	complain "cannot remove cgroup $1: $(rmdir "$1" 2>&1)"
	return 1
}

# mounts_below DIRECTORY: the last one mounted comes first. mountinfo writes
# blanks and the like as \040.
mounts_below() {
	for m in $(awk '{ list = $5 "\n" list } END { printf "%s", list }' /proc/self/mountinfo | sed 's/\\\([0-7]\)/\\0\1/g'); do
		m=$(printf %b "$m")
		case $m in "$1" | "$1"/*) printf '%s\n' "$m" ;; esac
	done
}

# remove_file PATH: a file or directory in /tmp. A mount below it would hand rm
# a tree that is not ours, so with one left nothing is removed.
remove_file() {
	[ -e "$1" ] || [ -L "$1" ] || return 0
	for m in $(mounts_below "$1"); do
		[ -n "$dry" ] || umount "$m" 2>/dev/null || { pause; umount "$m" 2>/dev/null; } || umount -l "$m"
		say unmount "$m"
	done
	if [ -n "$dry" ]; then
		say remove "$1"
	elif [ -n "$(mounts_below "$1")" ]; then
		complain "cannot remove $1: something is mounted in it"
	elif rm -rf "$1"; then
		say remove "$1"
	else
		complain "cannot remove $1"
	fi
}

# remove_named ID: the cgroups and files that have it in their names
remove_named() {
	for c in $(cgroups_named "go-docker-$1"); do remove_cgroup "$c" || return 1; done
	for f in "/tmp/go-docker-$1"*; do remove_file "$f"; done
}

in_use() { # PATH...: by a demo, which holds flock(2) on its directory
	for f in "$@"; do
		[ -d "$f" ] && ! flock -n 9 9<"$f" && return 0
	done
	return 1
}

remove_orphan() { # ID: without a record, so nothing is killed
	busy=$(processes_in $(cgroups_named "go-docker-$1") | tr '\n' ' ')
	if in_use "/tmp/go-docker-$1"*; then
		: # day 3's demo makes its image before it starts the container
	elif [ -n "$busy" ]; then
		said=yes
		echo "kept go-docker-$1: it has no record here, but processes: $busy"
	else
		remove_named "$1"
	fi
}

# remove_record FILE: the container of a record whose lock we hold. Its cgroups
# are found by name.
remove_record() {
	id=${1##*/}
	id=${id%.json}
	kill_in $(cgroups_named "go-docker-$id") || return 1
	remove_named "$id" || return 1
	[ -e "$1" ] || return 0 # somebody else has cleaned up at the same time
	[ -n "$dry" ] || rm -f "$1"
	say remove "record $1"
	[ -n "$dry" ] || rmdir $RUN 2>/dev/null || true # fails if there are others
}

# remove_hierarchy NAME: a hierarchy ends with its last mount, but only if it has
# no cgroups then, and the kernel takes its time over an rmdir. So mount it, empty
# it, and unmount it until it is gone.
remove_hierarchy() {
	name=$1
	if [ -z "$dry" ]; then
		h=$(mktemp -d "/tmp/go-docker-step.$$.XXXXXX") || return 1
		for _ in $(seq 20); do
			grep -q ":name=$name:" /proc/self/cgroup || break
			mount -t cgroup -o "none,name=$name" cgroup "$h" || break
			set -- $(find "$h" -mindepth 1 -maxdepth 1 -type d)
			kill_in "$@"
			for c in "$@"; do remove_cgroup "$c"; done
			pause
			umount "$h"
			pause
		done
		rmdir "$h"
	fi
	if [ -z "$dry" ] && grep -q ":name=$name:" /proc/self/cgroup; then
		complain "cannot remove the hierarchy name=$name: still mounted (grep -l $name /proc/*/mountinfo)"
	else
		say remove "hierarchy name=$name"
	fi
}

remove_step() { # PID
	for c in $(cgroups_named "go-docker-step.$1"); do
		kill_in "$c" && remove_cgroup "$c"
	done
	for f in "/tmp/go-docker-step.$1" "/tmp/go-docker-step.$1".*; do remove_file "$f"; done
	if grep -q ":name=go-docker-step\.$1:" /proc/self/cgroup; then
		remove_hierarchy "go-docker-step.$1"
	fi
}

# --- networks

# field NAME FILE: a string of a JSON object, as day 5 writes them
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$2"; }

objects() { tr '{' '\n' <"$1" && echo; } # of such a file, one a line

endpoints() { # their records
	for f in "$1"/*/endpoints/*.json "$1"/*/endpoints/*.pending; do [ ! -f "$f" ] || echo "$f"; done
}

locked() { [ -e "$1" ] && ! flock -n "$1" true; }

links() { ip -o link 2>/dev/null | sed 's/^[0-9]*: //'; } # all: NAME[@PEER]: <FLAGS> ... [master BRIDGE] ...

there() { links | grep -q "^$1[@:]"; } # is a link

remove_link() {
	there "$1" || return 0
	if [ -n "$dry" ] || ip link del "$1" || ! there "$1"; then say remove "link $1"; else complain "cannot remove link $1"; fi
}

tables() { nft list tables 2>/dev/null | sed -n "s/^table \(inet\|bridge\) \($1\)\$/\1 \2/p"; } # FAMILY NAME of those named so, a regular expression

# in_nft VERB WHAT: nft's own words, a list
in_nft() {
	IFS=' '
	# shellcheck disable=SC2086
	if [ -n "$dry" ] || nft $1 $2; then say "$1" "nft $2"; else complain "cannot $1 nft $2"; fi
	IFS='
'
}

# undo_changes FILE: a setting goes back unless somebody else has changed it since; the rules that let a bridge pass
# through other people's chains are those that accept it by its name.
undo_changes() {
	objects "$1" | sed -n 's/^"Path":"\(\/proc\/sys\/net\/[^"]*\)","Before":"\([^"]*\)","Ours":"\([^"]*\)".*/\1 \2 \3/p' |
		awk '{ list = $0 "\n" list } END { printf "%s", list }' >"$tmp/values"
	while IFS=' ' read -r path before now; do
		[ "$(cat "$path" 2>/dev/null)" = "$now" ] || continue
		say restore "$path: $before"
		[ -n "$dry" ] || echo "$before" >"$path" || complain "cannot write $path"
	done <"$tmp/values"
	objects "$1" | sed -n 's/^"Family":\([0-9]*\),.*"Table":"\([^"]*\)","Chain":"\([^"]*\)","Bridge":"\([^"]*\)".*/\1 \2 \3 \4/p' >"$tmp/accepts"
	while IFS=' ' read -r family table chain bridge; do
		case $family in 1) family=inet ;; 2) family=ip ;; 10) family=ip6 ;; *) continue ;; esac
		nft -a list chain "$family" "$table" "$chain" 2>/dev/null | sed -n "/ifname \"$bridge\" .*accept/s/.* # handle //p" >"$tmp/handles"
		while read -r handle; do in_nft delete "rule $family $table $chain handle $handle"; done <"$tmp/handles"
	done <"$tmp/accepts"
}

# remove_networks DIRECTORY: a store's
remove_networks() {
	[ -n "$(endpoints "$1")" ] || [ -e "$1/changed.json" ] || return 0
	for tool in flock ip nft; do
		command -v $tool >/dev/null 2>&1 || { complain "cannot remove the networks of $1: $tool(1) is missing"; return; }
	done
	{ command exec 8<"$1/lock"; } 2>/dev/null && flock -n 8 || return 0 # somebody is at work there
	remove_dead_networks "$1"
	exec 8<&-
}

remove_dead_networks() {
	dead='' alive=''
	for r in $(endpoints "$1"); do
		if locked "$(field Lock "$r")"; then alive=$r; else dead=$r; fi
	done
	if [ -n "$alive" ]; then
		[ -z "$dead" ] || { said=yes; echo "kept $dead: others of its networks live; day 5's next command removes it"; }
		return
	fi
	tmp=$(mktemp -d "/tmp/go-docker-step.$$.XXXXXX") || return
	for r in $(endpoints "$1"); do remove_link "$(field HostInterface "$r")"; done
	for f in "$1"/*/network.json; do [ ! -f "$f" ] || remove_link "$(field Bridge "$f")"; done
	table=go-docker
	root=$(cd "$1/.." && pwd)
	[ "$root" = /var/lib/go-docker ] || table=go-docker-$(printf %s "$root" | sha256sum | cut -c 1-8)
	for t in $(tables "$table"); do in_nft delete "table $t"; done
	if [ ! -e "$1/changed.json" ]; then
		:
	elif [ "$(field Boot "$1/changed.json")" != "$(cat /proc/sys/kernel/random/boot_id)" ]; then
		remove_file "$1/changed.json"
	elif [ -z "$dry" ] && [ -n "$(tables 'go-docker.*')" ]; then
		said=yes
		echo "kept $1/changed.json: another store's containers need what was changed"
	else
		undo_changes "$1/changed.json"
		remove_file "$1/changed.json"
	fi
	for r in $(endpoints "$1"); do remove_file "$r"; done
	rm -rf "$tmp"
}

bridges() { # of ours, without ports
	for l in $(links | grep -o "^gd-$ID:\|^go-d-$d$d$d$d$d$d$d$d:\|^go-docker0:"); do
		links | grep -q " master ${l%:} " || echo "${l%:}"
	done
}

# orphan_networks: which no store here knows
orphan_networks() {
	bridges
	links | grep -q "^gd-${ID}[:@]\|^gdv\|^go-d[-o]" || tables 'go-docker.*'
}

remove_orphan_network() { # LINK, or FAMILY TABLE
	case $1 in *' '*) in_nft delete "table $1" ;; *) remove_link "$1" ;; esac
}

# --- in order

if [ "$(id -u)" != 0 ]; then
	if [ -z "$(ids)$(dead_steps)$(bridges)" ] && [ ! -e $RUN ]; then
		echo 'nothing to clean up'
		exit 0
	fi
	echo "$me: not root, and there may be something to remove: sudo sh $0" >&2
	exit 125
fi

# check_record FILE TIME: the first or the second time that we see it. A record
# that cannot be opened has gone with its container; "command" keeps the shell
# from ending over it.
wait=''
check_record() {
	{ command exec 9<"$1"; } 2>/dev/null || return 0
	if ! command -v flock >/dev/null 2>&1; then
		complain "cannot tell whether the owner of $1 lives: flock(1) is missing, install util-linux"
	elif ! flock -n 9 || [ ! -e "$1" ]; then
		: # its owner lives, or has just ended and removed it
	elif [ -s "$1" ] || [ "$2" = second ]; then
		remove_record "$1"
	else
		wait=yes
	fi
	exec 9<&-
}

for r in $RUN/$ID.json; do
	check_record "$r" first
done
orphans=''
for id in $(ids); do
	[ -e "$RUN/$id.json" ] || orphans="$orphans$IFS$id"
done
remove_networks "$STORE/networks"
lost=$(orphan_networks)
[ -z "$wait$orphans$lost" ] || sleep 3
[ -z "$wait" ] || for r in $RUN/$ID.json; do
	check_record "$r" second
done
for id in $orphans; do
	[ -e "$RUN/$id.json" ] || remove_orphan "$id"
done

still=$(orphan_networks)
for thing in $lost; do
	if printf '%s\n' "$still" | grep -qxF "$thing"; then remove_orphan_network "$thing"; fi
done
for thing in $(orphan_networks); do # the tables go with the last bridge
	if [ -n "$lost" ] && [ -z "$dry" ]; then case $thing in *' '*) remove_orphan_network "$thing" ;; esac; fi
done

for pid in $(dead_steps); do remove_step "$pid"; done

# Step 5 of day 2 is the article's program, which removes nothing.
for c in $(cgroups_named go-docker-demo-memory); do
	if [ -n "$(processes_in "$c")" ]; then
		said=yes
		echo "kept $c: its program still runs: $(processes_in "$c" | tr '\n' ' ')"
	else
		remove_cgroup "$c"
	fi
done

[ -n "$said" ] || echo 'nothing to clean up'
[ -z "$failed" ]
