#!/bin/bash
# kit-test.sh [here|guest]...: the workshop kit, from the bundle to the last exercise, with no network.
#
#   here    unpack the bundle, enter it in a network namespace that has nothing but lo, with empty caches:
#           doctor, the demos, day 3's image, one exercise of each chapter from failing to passing, what
#           workshop.md has for between two groups, and a look at every package that scripts/test.sh builds
#   guest   the same in a fresh virtual machine with cgroup v2, which gets the bundle, Go, and the build cache
#           that "here" has filled, because the machine is emulated and compiling would take an hour
#
# Default: both. As root, on Debian or Ubuntu: scripts/vm/setup installs what is missing. About two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- here guest
step() { printf -- '-- %s (%ss)\n' "$*" "$SECONDS"; }
fail() { echo "kit-test: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "must be root"

tmp=$(mktemp -d /tmp/go-docker-kit.XXXXXX)
trap '[ -z "${aside-}" ] || kill -- "-$aside" 2>/dev/null || true; wait; chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

step "the bundle"
scripts/vm/setup # busybox for the image, QEMU for the guest
scripts/offline-bundle.sh "$tmp/bundle.tar.gz" 2>&1 | grep -v '^go: '
tar -C "$tmp" -xzf "$tmp/bundle.tar.gz"
bundle=$tmp/go-docker-bundle
(cd "$bundle" && sha256sum --quiet -c SHA256SUMS)
for page in en/workshop en/show zh-TW/workshop zh-TW/show; do [ -s "$bundle/book/$page.html" ] || fail "there is no $page.html in the bundle's book"; done

# The head of both scripts below.
cat >"$tmp/head.sh" <<'END'
set -eu
bundle=$1
fail() { echo "kit-test: $*" >&2; exit 1; }
cd "$bundle"
read -r began _ </proc/uptime
step() { read -r now _ </proc/uptime; echo "   $* ($((${now%.*} - ${began%.*})))"; }
PATH=$PATH:/usr/local/go/bin
# The guest has no C compiler, and must find in the cache what was built here.
export GO_DOCKER_ROOT="$bundle/store" CGO_ENABLED=0
END

# What a reader types, in the order of a class. It runs here and in the guest.
cat "$tmp/head.sh" - >"$tmp/class.sh" <<'END'
step "there is no network"
[ "$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')" = lo ] || fail "there are other devices than lo: $(cat /proc/net/dev)"
[ "$(wc -l </proc/net/route)" -le 1 ] || fail "there is a route: $(cat /proc/net/route)"

step "doctor"
./enter ./scripts/doctor.sh >doctor.out || { cat doctor.out; fail "doctor is not green"; }
! grep -E '^(warn|FAIL)' doctor.out || [ -n "${WARN_OK:-}" ] || fail "doctor warns"

step "the demos"
./enter go run ./day1-namespaces --format json >day1.out || { cat day1.out; fail "day 1"; }
[ "$(grep -o '"container":{' day1.out | wc -l)" = 7 ] || { cat day1.out; fail "day 1: not seven namespaces"; }
./enter go run ./day2-cgroups --format json >day2.out || { cat day2.out; fail "day 2"; }
grep -q '"oom_kills": *1' day2.out || { cat day2.out; fail "day 2: no OOM kill"; }
./enter go run ./day3-images --format json >day3.out || { cat day3.out; fail "day 3"; }
for kind in added changed deleted; do
	grep -q "\"name\":\"container\".*\"kind\":\"$kind\"" day3.out || { cat day3.out; fail "day 3: the container has $kind nothing"; }
done
./enter go run ./day4-lifecycle --format json >day4.out || { cat day4.out; fail "day 4"; }
grep -q '"output":"I go: terminated' day4.out || { cat day4.out; fail "day 4: it was not stopped"; }
./enter go run ./day5-networks --format json >day5.out || { cat day5.out; fail "day 5"; }
grep -q '"paths":' day5.out || { cat day5.out; fail "day 5: no table of paths"; }

step "the image, and the busybox that day 3 by hand is made of"
[ "$(./enter sh -c 'command -v busybox')" = "$bundle/bin/busybox" ] || fail "enter finds another busybox than the bundle's"
./enter go run ./day3-images load -q -i ../images/busybox.tar
[ "$(./enter go run ./day3-images run --rm busybox cat /etc/passwd)" = root:x:0:0:root:/root:/bin/sh ] || fail "the image does not run"

step "an exercise of each chapter, from failing to passing"
for exercise in 'day1 2 host-name' 'day2 3 escape' 'day3 4 pivot' 'day4 4 trap' 'day5 1 comes-back'; do
	set -- $exercise
	status=0
	./enter go run ./scripts/check "$1" "$2" >check.out 2>&1 || status=$?
	[ $status = 1 ] && grep -q '^not yet' check.out || { cat check.out; fail "$1 $2: the starting state: status $status"; }
	cp repository/$1-*/exercises/0$2-$3/solution/* "repository/work/$1/0$2-$3/"
	./enter go run ./scripts/check "$1" "$2" >check.out 2>&1 || { cat check.out; fail "$1 $2: the solution"; }
	grep -q '^passed' check.out || fail "$1 $2: no word of it"
done
END

# What comes after the class, here only: it needs git, or takes long.
cat "$tmp/head.sh" - >"$tmp/after.sh" <<'END'
step "between two groups, as workshop.md has it"
sed -n '/^## Between two groups/,$p' repository/docs/en/workshop.md | sed -n '/^```sh/,/^```/{/^```/!p;}' >reset.sh
grep -q cleanup reset.sh || fail "workshop.md has no commands for it"
./enter sh -eux ../reset.sh >reset.out 2>&1 || { cat reset.out; fail "the commands of workshop.md"; }
[ ! -e store ] && [ ! -e repository/work ] && ls "$HOME"/work.*/day2/03-escape/run.sh >/dev/null || fail "something of the last group is left, or lost"
./enter go run ./scripts/check day2 3 >check.out 2>&1 && fail "day2 3 passes for the next group"
grep -q '^not yet' check.out || { cat check.out; fail "day2 3 cannot be checked by the next group"; }

step "every package that scripts/test.sh builds, and every module it asks for"
./enter go vet work
GOWORK=off ./enter go -C scripts/tools list -deps tool >/dev/null
for module in repository/day*-*; do GOWORK=off ./enter go -C "${module#repository/}" mod tidy -diff || fail "$module: go mod tidy"; done
END

# here SCRIPT. Warnings may be about this machine, such as a container's; the guest has none.
here() {
	mkdir -p "$tmp/home"
	unshare --net env -i WARN_OK=1 HOME="$tmp/home" PATH="$PATH" TERM=dumb sh "$tmp/$1" "$bundle"
}
class_here() {
	step "here, in a network namespace with nothing but lo, and with empty caches"
	here class.sh
	cp -al "$bundle" "$tmp/guest"
}
rest() {
	echo "   after the class"
	here after.sh
	echo "   the bundle again: the same commit makes the same bytes"
	scripts/offline-bundle.sh "$tmp/again.tar.gz" 2>"$tmp/again.log" || { cat "$tmp/again.log"; fail "no second bundle"; }
	cmp "$tmp/bundle.tar.gz" "$tmp/again.tar.gz" || fail "the same commit has made two different bundles"
}

for where in "$@"; do
	case $where in
	here)
		class_here
		set -m # a process group of its own, to be ended as a whole
		rest >"$tmp/rest.log" 2>&1 & # beside the guest, which has one processor
		aside=$!
		set +m
		;;
	guest)
		[ -d "$tmp/guest" ] || class_here
		step "in a guest with cgroup v2"
		# The same path as here, or the build cache does not know the sources again. The race detector's
		# libraries and Go's own tests stay away.
		guest=$tmp/guest
		rm -rf "$guest/store" "$guest/repository/work" "$guest/repository/.git" "$guest/modules" "$guest/book"
		find "$guest/cache/mod/cache/download" -name '*.zip' -delete
		mkdir "$tmp/go"
		tar -C "$(go env GOROOT)" --exclude=./test --exclude=./api --exclude=./doc --exclude=./misc --exclude='*_test.go' --exclude=testdata \
			--exclude='./src/runtime/race/*.syso' --exclude='./src/cmd' -cf - . | tar -C "$tmp/go" -xf -
		scripts/vm/run -v --cgroup v2 --memory 6144 --timeout 2400 --env HOME=/root --env PATH=/usr/local/bin:/usr/bin:/bin \
			--file "$guest:$bundle" --file "$tmp/class.sh:$tmp/class.sh" --file "$tmp/go:$(go env GOROOT)" --file "$(command -v flock):/usr/local/bin/flock" --file "$(command -v ip):/usr/local/bin/ip" --file "$(command -v nft):/usr/local/bin/nft" \
			sh "$tmp/class.sh" "$bundle" 2>"$tmp/console" || { tail -n 40 "$tmp/console"; fail "in the guest"; }
		grep '^vm:' "$tmp/console" || true
		;;
	*) fail "$where: want here or guest" ;;
	esac
done
if [ "${aside-}" ]; then
	step "meanwhile, here"
	status=0
	wait "$aside" || status=$?
	aside=''
	grep -v '^go: ' "$tmp/rest.log" || true
	[ $status = 0 ] || fail "after the class: exit status $status"
fi
step "kit-test: all passed"
