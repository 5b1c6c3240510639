#!/bin/bash
# Sourced by the scripts that fetch something.

# again COMMAND...: for what others may refuse for a moment: a mirror, a proxy, or an automatic update that holds apt's
# locks. Never for a test.
again() {
	local pause
	for pause in 5 15 30 60; do
		! "$@" || return 0
		echo "${0##*/}: in $pause seconds once more: $*" >&2
		sleep $pause
	done
	"$@"
}
