#!/bin/sh
# What a chapter takes over from the one before, against scripts/carryover.txt:
# which files are the same, which changed, which are new, which are gone. A file
# that drifts is then a decision and not an accident.
#
#   scripts/carryover.sh            compare; exit 1 and show the difference if there is one
#   scripts/carryover.sh --update   write the list anew
set -eu
cd "$(dirname "$0")/.."
list=scripts/carryover.txt

files() { (cd "$1" && find . -maxdepth 1 -type f ! -name README.md ! -name '*.test' | sed 's|^\./||' | LC_ALL=C sort); }

compare() {
	before=
	for chapter in day[0-9]*-*/; do
		chapter=${chapter%/}
		if [ -n "$before" ]; then
			echo "$before -> $chapter"
			{ files "$before"; files "$chapter"; } | LC_ALL=C sort -u | while read -r file; do
				if [ ! -e "$chapter/$file" ]; then echo "gone    $file"
				elif [ ! -e "$before/$file" ]; then echo "new     $file"
				elif cmp -s "$before/$file" "$chapter/$file"; then echo "same    $file"
				else echo "changed $file"
				fi
			done | LC_ALL=C sort
		fi
		before=$chapter
	done
}

if [ "${1:-}" = --update ]; then
	compare >"$list"
	exit
fi
compare | diff -u "$list" - && exit
echo "carryover.sh: the chapters differ in other files than $list says: if that is meant, run scripts/carryover.sh --update" >&2
exit 1
