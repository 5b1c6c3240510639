#!/bin/bash
# Everything that must hold before a change lands.
#
#   scripts/test.sh          the everyday check, in six minutes: format, vet,
#                            staticcheck, shellcheck, builds; all tests, those that repeat
#                            something hundreds of times in their short form; steps; demos;
#                            nothing left behind
#   scripts/test.sh --all    the long forms, the race detector, every command of the book, its
#                            web site in a browser, the workshop kit, and virtual machines for
#                            what depends on the cgroup version (scripts/vm/tests is the list)
#
# As root it installs what is missing (Debian, Ubuntu, Fedora). Without root, the tests
# that need root are skipped and say so. With CI=true or --all a skip is a failure.
# What others do on the machine meanwhile does not matter: see scripts/leakcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1-} in '' | --all) ;; *) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 125 ;; esac
all=${1-}
if [ "${CI-}" = true ] || [ "$all" ]; then export GO_DOCKER_MUST_RUN=1; fi
root=''; [ "$(id -u)" != 0 ] || root=yes

bin=$(mktemp -d)
export TMPDIR=$bin TEST_RECORD=$bin/record # of the tests and their times, see scripts/testlog
: >"$TEST_RECORD"
trap 'chmod -R u+w "$bin" && rm -rf --one-file-system "$bin"' EXIT
trap 'exit 130' INT; trap 'exit 143' TERM

# How long things took the last time: SECONDS NAME, the last line of a name counts.
times=${XDG_CACHE_HOME:-$HOME/.cache}/go-docker/times
mkdir -p "${times%/*}" && touch "$times"
export TEST_TIMES=$times
before() { awk -F '\t' -v name="$1" '$2 == name { t = $1 } END { print t }' "$times"; }
phase='' began=0
step() { # NAME: what follows; how long it took before; and how long what came before has taken
	[ -z "$phase" ] || printf '%s\t%s\n' $((SECONDS - began)) "$phase" >>"$times"
	phase="${all:-short} $1" began=$SECONDS
	local last
	last=$(before "$phase")
	printf '\n== %s (at %d:%02d%s)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)) "${last:+; took $last s last time}"
}
fail() { echo "test.sh: $*" >&2; exit 1; }
. scripts/again.sh
bad=()
# And go on: the rest may fail, too. What is printed is kept, so that the end can repeat what went wrong.
try() {
	if ! "$@" 2>&1 | tee -a "$bin/log"; then
		echo "test.sh: failed: $*" | tee -a "$bin/log" >&2
		bad+=("${phase#* }")
	fi
}
# Of what was printed: each failed test, its first lines, and other lines that say so.
wrong() {
	awk '
		/^ *=== RUN +[^\/]*$/ { n = 0; run = $0 }
		run && n < 15 { kept[n++] = $0 }
		/^ *--- FAIL/ { for (i = 0; i < n; i++) print kept[i]; if (n == 15) print; n = 0; run = ""; next }
		/^ *--- (PASS|SKIP)/ { n = 0; run = ""; next }
		!run && /^(FAIL|left behind|test.sh: failed)/' "$bin/log" | cut -c1-400 | head -n 300
}
last=$(before "${all:-short} all")
[ -z "$last" ] || printf 'This took %d min %d s last time.\n' $((last / 60)) $((last % 60))

step "tools"
missing=()
want() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || missing+=("$2"); }
want gcc gcc                 # go test -race needs cgo
want shellcheck shellcheck
want stress stress
want ip iproute2
want nft nftables
want iptables iptables       # the one of nft, and the old one
want iptables-legacy iptables-legacy
want unshare util-linux
want ps procps
# Day 3 is compared with the tools that others make and unpack images with.
want busybox busybox-static
want setfattr attr
want setcap libcap2-bin
want zstd zstd
want strace strace
want runc runc
want crun crun
want bwrap bubblewrap
want umoci umoci
want skopeo skopeo
want buildah buildah
want podman podman
# Day 5 is compared with CNI's plugins, in /usr/lib/cni or /usr/libexec/cni.
PATH=$PATH:/usr/lib/cni:/usr/libexec/cni want portmap containernetworking-plugins
command -v registry >/dev/null || want docker-registry docker-registry # Fedora's, Debian's
if [ "$all" ]; then # scripts/tools/booksite: a browser, and npm for axe-core
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
	want npm npm
fi
if [ ${#missing[@]} -gt 0 ]; then
	[ "$(id -u)" = 0 ] || fail "not installed: ${missing[*]}: install these, or run this as root"
	if command -v apt-get >/dev/null; then
		missing=("${missing[@]/#iptables-legacy/iptables}")
		apt=(apt-get -qy -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
		packages() { "${apt[@]}" update && DEBIAN_FRONTEND=noninteractive "${apt[@]}" install --no-install-recommends "${missing[@]}" libc6-dev; }
		again packages
	elif command -v dnf >/dev/null; then
		missing=("${missing[@]/#iproute2/iproute}"); missing=("${missing[@]/#procps/procps-ng}")
		missing=("${missing[@]/%iptables/iptables-nft}")
		missing=("${missing[@]/#busybox-static/busybox}"); missing=("${missing[@]/#libcap2-bin/libcap}")
		missing=("${missing[@]/#docker-registry/docker-distribution}")
		again dnf -qy install "${missing[@]/#shellcheck/ShellCheck}"
	else
		fail "not installed, and neither apt-get nor dnf is here to do it: ${missing[*]}"
	fi
fi
command -v go >/dev/null || fail "no go in PATH: see README.md, Requirements (sudo drops /usr/local/go/bin: use sudo -i, or sudo env PATH=\"\$PATH\")"
mapfile -t chapters < <(printf '%s\n' day[0-9]*-*/ | sed 's|/$||')
for module in "${chapters[@]}" scripts; do again env GOWORK=off go -C "$module" mod download; done
mapfile -t scripts < <(git ls-files --cached --others --exclude-standard | while read -r f; do
	[ -f "$f" ] && head -c 64 "$f" | head -1 | grep -qE '^#!.*(sh|bash)( |$)' && echo "$f"; done || true)

step "format, vet, staticcheck, shellcheck"
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || fail "gofmt -w these: $unformatted"
tools() { GOWORK=off go -C scripts/tools list -deps "$@" >/dev/null; }
tool() { again tools "$1" && GOWORK=off go -C scripts/tools build -o "$bin/${1##*/}" "$1"; }
tool honnef.co/go/tools/cmd/staticcheck
shellcheck "${scripts[@]}" &
shells=$!
go vet work
"$bin/staticcheck" work
wait $shells || fail "shellcheck failed"

step "each chapter on its own; what it takes over from the one before; where tests run"
tidy() { GOWORK=off go -C "$1" mod tidy -diff >"$bin/tidy" || [ -s "$bin/tidy" ]; } # it may ask for modules that nobody else needs
for chapter in "${chapters[@]}"; do
	GOWORK=off go -C "$chapter" build -o "$bin/$chapter" .
	GOWORK=off go -C "$chapter" mod verify >/dev/null
	again tidy "$chapter"
	[ ! -s "$bin/tidy" ] || { cat "$bin/tidy"; fail "$chapter: run go mod tidy"; }
done
try scripts/carryover.sh
try scripts/vm/place --check
go build -o "$bin/" ./scripts/leakcheck ./scripts/testlog

# In a box of its own, but for Go's caches: it finds what the command leaves. podman keeps its locks in memory.
keep=(--keep "$bin"); for dir in $(go env GOCACHE GOMODCACHE GOROOT); do [ ! -d "$dir" ] || keep+=(--keep "$dir"); done
leakcheck() { "$bin/leakcheck" --ignore '^temp /dev/shm/libpod_lock$' --ignore '^temp .*/(go-build|go-link-)' "${keep[@]}" -- "$@"; }
# Packages two at a time: each chapter's tests have a /run and cgroups of their own. vet has seen them. -count 1: they test
# the machine, too, and that may have changed.
gotest() { leakcheck go test -json -vet=off -count 1 -p 2 "$@" | "$bin/testlog" "$TEST_RECORD"; }
mapfile -t packages < <(echo ./scripts/check; printf './%s/...\n' "${chapters[@]}" | tac; echo ./scripts/...) # the longest first

if [ -z "$all" ]; then
	step "tests, in their short form"
	try gotest -short -timeout 10m "${packages[@]}"
else
	step "tests"
	try gotest -timeout 30m "${packages[@]}"

	step "the race detector, on what has goroutines"
	# A start takes four times as long with it. So without those that start hundreds of containers to see what a
	# kill or a full disk leaves behind, and those that unpack gigabytes: all that is the same with and without it.
	many='Killed|Failing|InterruptedAt|StoreCommandsInterrupted|DemoInterrupted|ManyRuns|ForkFails|FullDisk|RunOnFullDisk|EveryExit|WithoutRoot'
	big='UnpackBombs|DecompressBomb|DescriptorsOfTheHost|VolumeThroughLinks'
	mapfile -t threaded < <(for chapter in "${chapters[@]}"; do
		go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{range .Deps}} {{.}}{{end}}{{end}}' "./$chapter/..." | while read -r package deps; do
			for p in $package $deps; do
				dir=${p#example.com/go-docker/} # other modules are tested by their owners
				if [ "$dir" != "$p" ] && [[ $dir != */steps ]] && grep -qE --include=*.go --exclude=*_test.go --directories=skip '^[[:space:]]*go [a-z]' "$dir"/*; then echo "$package"; break; fi
			done
		done
	done)
	TEST_WHERE=race try gotest -race -short -timeout 20m -skip "^Test($many|$big)" "${threaded[@]}"

	step "the long forms: a thousand runs killed, interrupted, at once"
	TEST_WHERE=long GO_DOCKER_LONG=1 try gotest -timeout 20m -run '^Test(KilledAtEveryStep|KilledAtRandom|InterruptedAtEveryStep|ManyAtOnce)$' "${packages[@]}"

	if [ "$root" ]; then
		step "benchmarks, one round: that they run" # scripts/bench.sh is for the figures
		mapfile -t measured < <(git ls-files --cached --others --exclude-standard '*_test.go' | xargs grep -l '^func Benchmark' | xargs -n 1 dirname | sort -u)
		try leakcheck go test -vet=off -p 1 -run '^$' -bench . -benchtime 1x -short "${measured[@]/#/./}"
	fi
fi

step "steps, in order"
for chapter in "${chapters[@]}"; do
	! compgen -G "$chapter/steps/*_test.go" >/dev/null || continue # its tests have run them
	for file in "$chapter"/steps/[0-9]*.sh; do
		[ -e "$file" ] || continue
		echo "-- $file"
		if ! leakcheck "./$file" >"$bin/out" 2>&1; then
			if [ -z "$root" ] && grep -q 'run it as root' "$bin/out"; then
				echo "skipped: $(tail -n 1 "$bin/out")"
				continue
			fi
			cat "$bin/out"; echo "test.sh: $file failed" >&2; bad+=("$file")
		fi
	done
done

step "the demos, as the README has them"
for chapter in "${chapters[@]}"; do
	case $chapter in
	day1-*) try leakcheck "$bin/$chapter" ;;
	*)
		if [ -z "$root" ]; then echo "skipped: $chapter needs root"; continue; fi
		try leakcheck "$bin/$chapter"
		case $chapter in day2-*) try leakcheck "$bin/$chapter" --stress >/dev/null ;; esac
		;;
	esac
done
[ -z "$root" ] || try scripts/doctor.sh

if [ "$all" ]; then
	step "the book's web site, in a browser"
	again tools -test ./...
	browser() { GOWORK=off go -C scripts/tools test -json -count=1 -timeout 30m ./... | "$bin/testlog" "$TEST_RECORD"; }
	TEST_WHERE=browser try browser

	step "the workflow file"
	tool github.com/rhysd/actionlint/cmd/actionlint
	try "$bin/actionlint" .github/workflows/*.yml

	step "the workshop kit: a fresh Debian, and the bundle without a network"
	try scripts/vm/provision-test
	try scripts/kit-test.sh

	step "virtual machines: cgroup v2, v1, hybrid"
	try scripts/vm/promise
	# The versions that this machine has not; then day 2's limits with swap, as a plain user, in a container, and on a newer kernel.
	modes=(v2 v1)
	[ ! -d /sys/fs/cgroup/memory ] || modes=(v2) # this machine is v1 or hybrid
	[ -d /sys/fs/cgroup/unified ] || modes+=(hybrid)
	try scripts/vm/suite "${modes[@]}" v2-6.12 v2-nested v2-swap v1-swap v2-user

	step "the slowest tests"
	"$bin/testlog" --slowest 20 "$TEST_RECORD"
fi

step "result"
printf '%s\t%s\n' $SECONDS "${all:-short} all" >>"$times"
awk -F '\t' '{ t[$2] = $1 } END { for (n in t) printf "%s\t%s\n", t[n], n }' "$times" >"$bin/times" && cp "$bin/times" "$times"
result=$("$bin/testlog" --sum $SECONDS "$TEST_RECORD")
if [ ${#bad[@]} -gt 0 ]; then
	mapfile -t bad < <(printf '%s\n' "${bad[@]}" | sort -u)
	list=$(printf '%s; ' "${bad[@]}")
	wrong
	echo "Failed: ${list%; }. Tests: $result. What went wrong is above, after each \"failed\"."
	exit 1
fi
echo "All is well. Tests: $result."
