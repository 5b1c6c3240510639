#!/bin/sh
# What a chapter takes over from the one before, room by room: a room that
# carries over is the same but for the module's path in its imports.
#
#   scripts/carryover.sh day2 day3  which rooms are the same, changed (lines added and removed), new
#                                   or gone, then the diff of those that changed, without tests
#   scripts/carryover.sh            compare with scripts/carryover.txt; exit 1 if they differ, so that
#                                   a room drifts by decision and not by accident
#   scripts/carryover.sh --update   write that list anew
set -eu
cd "$(dirname "$0")/.."
list=scripts/carryover.txt
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT; trap 'exit 141' PIPE; trap 'exit 143' TERM

# take_out CHAPTER DIR: its Go files without the module's path, the files of main in DIR/main.
take_out() {
	module=$(sed -n 's/^module //p' "$1/go.mod")
	(cd "$1" && find . -name '*.go' ! -path './steps/*' ! -path './exercises/*' ! -path './internal/*') | while read -r file; do
		room=$(dirname "$file")
		[ "$room" != . ] || room=main
		mkdir -p "$2/$room"
		sed "s|\"$module/|\"|" "$1/$file" >"$2/$room/${file##*/}"
	done
}

same() { diff -rq "$1" "$2" >/dev/null; }

# state BEFORE NOW, two files or directories
state() {
	if [ ! -e "$2" ]; then echo gone
	elif [ ! -e "$1" ]; then echo new
	elif same "$1" "$2"; then echo same
	else echo changed
	fi
}

names() { find "$@" 2>/dev/null | sed 's|.*/||' | LC_ALL=C sort -u; }

# rooms DIR...: the directories that have Go files
rooms() { for dir; do (cd "$dir" && find . -name '*.go'); done | sed 's|^\./||; s|/[^/]*$||' | LC_ALL=C sort -u; }

# compare BEFORE NOW, chapters: a line for each room, and for each file of main, its tests included
compare() {
	rm -rf "$tmp/a" "$tmp/b"
	take_out "$1" "$tmp/a"
	take_out "$2" "$tmp/b"
	for file in $(names "$tmp/a/main" "$tmp/b/main" -type f); do
		printf '%-7s %s\n' "$(state "$tmp/a/main/$file" "$tmp/b/main/$file")" "$file"
	done
	find "$tmp" -name '*_test.go' -delete # tests live where a room is new or has changed
	for room in $(rooms "$tmp/a" "$tmp/b"); do
		[ "$room" = main ] || printf '%-7s %s/\n' "$(state "$tmp/a/$room" "$tmp/b/$room")" "$room"
	done
}

compare_all() {
	before=
	for chapter in day[0-9]*-*/; do
		chapter=${chapter%/}
		if [ -n "$before" ]; then
			echo "$before -> $chapter"
			compare "$before" "$chapter" | LC_ALL=C sort
		fi
		before=$chapter
	done
}

# lines STATE: the rooms in that state, from compare's output, and main's files as one
screen() {
	found=$(compare "$1" "$2" | grep '/$')
	all=$(printf '%s\nmain main/\n' "$found")
	echo "From $1 to $2"
	for state in same changed new gone; do
		title=$state
		echo "$found" | grep "^$state " >/dev/null || [ $state = changed ] || continue
		echo "$all" | while read -r its room; do
			[ "$its" != main ] || [ $state != changed ] || its=changed
			[ "$its" = "$state" ] || continue
			room=${room%/}
			case $state in
				changed) note=$(diff -rN "$tmp/a/$room" "$tmp/b/$room" | awk '/^>/ { a++ } /^</ { r++ } END { printf "+%d -%d lines", a, r }') ;;
				new) note="$(cat "$tmp/b/$room"/*.go | wc -l) lines" ;;
				*) note= ;;
			esac
			printf '  %-8s %-18s %s\n' "$title" "$room" "$note"
		done
	done | sed 's/ *$//'
	echo
	for room in $(echo "$all" | sed -n 's|^\(changed\|main\) *\(.*\)/$|\2|p'); do
		(cd "$tmp" && diff -ruN "a/$room" "b/$room" | sed "s/^\(---\|+++\) \([^[:blank:]]*\).*/\1 \2/; /^diff -/d") || true
	done
}

chapter() {
	for dir in "$1"*/; do
		[ ! -e "$dir/go.mod" ] || { echo "${dir%/}"; return; }
	done
	echo "carryover.sh: no chapter $1" >&2
	return 1
}

case ${1:-} in
	'') ;;
	--update) compare_all >"$list"; exit ;;
	*)
		[ $# = 2 ] || { echo "usage: scripts/carryover.sh [--update | day2 day3]" >&2; exit 2; }
		before=$(chapter "$1")
		now=$(chapter "$2")
		screen "$before" "$now"
		exit
		;;
esac
compare_all | diff -u "$list" - && exit
echo "carryover.sh: the chapters differ in other rooms than $list says: if that is meant, run scripts/carryover.sh --update" >&2
exit 1
