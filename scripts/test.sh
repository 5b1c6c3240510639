#!/bin/bash
# Everything that must hold before a change lands.
#
#   scripts/test.sh          on this machine: format, vet, staticcheck, shellcheck,
#                            all tests, the chapters' with -race as well, all steps,
#                            the demos, nothing left behind
#   scripts/test.sh --all    the same, the book's web site in a browser, the workshop kit, and
#                            virtual machines: everything with the version of cgroups that
#                            this machine has not, and day 2 with v2, v1 and both, with swap,
#                            without root, in a container. An hour, where machines are emulated;
#                            scripts/vm/suite is everything in every mode, twice as long
#
# As root it installs what is missing (Debian, Ubuntu, Fedora). Without root, the tests
# that need root are skipped and say so. With CI=true a skip is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1-} in '' | --all) ;; *) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 125 ;; esac
all=${1-}
if [ "${CI-}" = true ] || [ "$all" ]; then export GO_DOCKER_MUST_RUN=1; fi

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
trap 'exit 130' INT; trap 'exit 143' TERM
step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }
fail() { echo "test.sh: $*" >&2; exit 1; }

step "tools"
missing=()
want() { command -v "$1" >/dev/null || missing+=("$2"); }
want gcc gcc                 # go test -race needs cgo
want shellcheck shellcheck
want stress stress
want ip iproute2
want unshare util-linux
want ps procps
# Day 3 is compared with the tools that others make and unpack images with.
want busybox busybox-static
want setfattr attr
want setcap libcap2-bin
want zstd zstd
want strace strace
want runc runc
want bwrap bubblewrap
want umoci umoci
want skopeo skopeo
want buildah buildah
want podman podman
command -v registry >/dev/null || want docker-registry docker-registry # Fedora's, Debian's
if [ "$all" ]; then # scripts/tools/booksite: a browser, and npm for axe-core
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
	want npm npm
fi
if [ ${#missing[@]} -gt 0 ]; then
	[ "$(id -u)" = 0 ] || fail "not installed: ${missing[*]}: install these, or run this as root"
	if command -v apt-get >/dev/null; then
		apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}" libc6-dev
	elif command -v dnf >/dev/null; then
		missing=("${missing[@]/#iproute2/iproute}"); missing=("${missing[@]/#procps/procps-ng}")
		missing=("${missing[@]/#busybox-static/busybox}"); missing=("${missing[@]/#libcap2-bin/libcap}")
		missing=("${missing[@]/#docker-registry/docker-distribution}")
		dnf -qy install "${missing[@]/#shellcheck/ShellCheck}"
	else
		fail "not installed, and neither apt-get nor dnf is here to do it: ${missing[*]}"
	fi
fi
command -v go >/dev/null || fail "no go in PATH: see README.md, Requirements (sudo drops /usr/local/go/bin: use sudo -i, or sudo env PATH=\"\$PATH\")"
mapfile -t chapters < <(printf '%s\n' day[0-9]*-*/ | sed 's|/$||')
mapfile -t scripts < <(git ls-files --cached --others --exclude-standard | while read -r f; do
	[ -f "$f" ] && head -c 64 "$f" | head -1 | grep -qE '^#!.*(sh|bash)( |$)' && echo "$f"; done || true)

step "format, vet, staticcheck, shellcheck"
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || fail "gofmt -w these: $unformatted"
go vet work
GOWORK=off go -C scripts/tools build -o "$bin/staticcheck" honnef.co/go/tools/cmd/staticcheck
"$bin/staticcheck" work
shellcheck "${scripts[@]}"

step "each chapter on its own, and what it takes over from the one before"
for chapter in "${chapters[@]}"; do
	GOWORK=off go -C "$chapter" build -o "$bin/$chapter" .
	GOWORK=off go -C "$chapter" mod verify >/dev/null
	GOWORK=off go -C "$chapter" mod tidy -diff || fail "$chapter: run go mod tidy"
done
scripts/carryover.sh

go build -o "$bin/leakcheck" ./scripts/leakcheck
leakcheck() { "$bin/leakcheck" --ignore "$bin" --ignore '^temp .*/(go-build|go-link-|systemd-private-)' "$@"; }

step "tests" # one package at a time: they look at the whole machine
leakcheck -- go test -p 1 -timeout 20m work

step "the chapters' tests, with the race detector"
# A start takes four times as long with it. So without those that start hundreds of containers to see what a kill
# or a full disk leaves behind, and those that unpack gigabytes: that stays the same.
many='Killed|Failing|InterruptedAt|StoreCommandsInterrupted|DemoInterrupted|ManyRuns|ForkFails|FullDisk|RunOnFullDisk|EveryExit|WithoutRoot'
big='UnpackBombs|DecompressBomb|DescriptorsOfTheHost|VolumeThroughLinks'
leakcheck -- go test -p 1 -race -timeout 20m -skip "^Test($many|$big)" "${chapters[@]/#/./}"

if [ "$(id -u)" = 0 ]; then
	step "benchmarks, one round: that they run" # scripts/bench.sh is for the figures
	leakcheck -- go test -p 1 -run '^$' -bench . -benchtime 1x -short ./day2-cgroups ./day3-images
fi

step "steps, in order"
for script in "${chapters[@]/%//steps/[0-9]*.sh}"; do
	for file in $script; do
		echo "-- $file"
		if ! leakcheck -- "./$file" >"$bin/out" 2>&1; then
			if [ "$(id -u)" != 0 ] && grep -q 'run it as root' "$bin/out"; then
				echo "skipped: $(tail -n 1 "$bin/out")"
				continue
			fi
			cat "$bin/out"; fail "$file failed"
		fi
	done
done

step "the demos, as the README has them"
leakcheck -- "$bin/day1-namespaces"
if [ "$(id -u)" = 0 ]; then
	leakcheck -- "$bin/day2-cgroups"
	leakcheck -- "$bin/day2-cgroups" --stress >/dev/null
	leakcheck -- "$bin/day3-images"
	scripts/doctor.sh
	scripts/cleanup.sh
else
	echo "skipped: day 2 needs root, or a cgroup that was delegated to you; day 3 needs root"
fi

if [ "$all" ]; then
	step "the book's web site, in a browser"
	GOWORK=off go -C scripts/tools test -count=1 ./booksite

	step "the workshop kit: a fresh Debian, and the bundle without a network"
	scripts/vm/provision-test
	scripts/kit-test.sh

	step "virtual machines: cgroup v2, v1, hybrid"
	scripts/vm/promise
	# Everything on the version of cgroups that this machine has not; on the others, day 2, which is about them.
	other=v2
	[ -d /sys/fs/cgroup/memory ] || other=hybrid
	modes=("$other:day3*" "$other:day[!3]*" "$other:scripts*")
	[ $other = hybrid ] || [ -d /sys/fs/cgroup/unified ] || modes+=(hybrid:day2-cgroups)
	scripts/vm/suite "${modes[@]}" v2-swap v1-swap v2-user v2-nested v2-6.12
fi
step "all passed"
