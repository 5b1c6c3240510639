#!/bin/bash
# kit-test.sh [here|guest]...: the workshop kit, from the bundle to the last exercise, with no network.
#
#   here    unpack the bundle, enter it in a network namespace that has nothing but lo, with empty caches:
#           doctor, the demos, day 3's image, a compilation of all tests, and one exercise of each chapter
#           from failing to passing
#   guest   the same in a fresh virtual machine with cgroup v2, which gets the bundle, Go, and the build cache
#           that "here" has filled, because the machine is emulated and compiling would take an hour
#
# Default: both. As root. About three minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
[ $# -gt 0 ] || set -- here guest
step() { printf -- '-- %s (%ss)\n' "$*" "$SECONDS"; }
fail() { echo "kit-test: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "must be root"

tmp=$(mktemp -d /tmp/go-docker-kit.XXXXXX)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

step "the bundle, twice: the same bytes"
scripts/offline-bundle.sh "$tmp/bundle.tar.gz" 2>&1 | grep -v '^go: '
scripts/offline-bundle.sh "$tmp/again.tar.gz" 2>/dev/null
cmp "$tmp/bundle.tar.gz" "$tmp/again.tar.gz" || fail "the same commit has made two different bundles"
rm "$tmp/again.tar.gz"
tar -C "$tmp" -xzf "$tmp/bundle.tar.gz"
bundle=$tmp/go-docker-bundle
(cd "$bundle" && sha256sum --quiet -c SHA256SUMS)

# What a reader types, in the order of a class. It runs here and in the guest.
cat >"$tmp/class.sh" <<'END'
#!/bin/sh
# class.sh BUNDLE WITH-TESTS
set -eu
bundle=$1 tests=$2
fail() { echo "kit-test: $*" >&2; exit 1; }
cd "$bundle"
step() { read -r now _ </proc/uptime; echo "   $* (${now%.*})"; }
PATH=$PATH:/usr/local/go/bin

step "there is no network"
[ "$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')" = lo ] || fail "there are other devices than lo: $(cat /proc/net/dev)"
[ "$(wc -l </proc/net/route)" -le 1 ] || fail "there is a route: $(cat /proc/net/route)"

step "doctor"
./enter ./scripts/doctor.sh >doctor.out || { cat doctor.out; fail "doctor is not green"; }
! grep -E '^(warn|FAIL)' doctor.out || [ -n "${WARN_OK:-}" ] || fail "doctor warns"

step "the demos"
./enter go run ./day1-namespaces >day1.out || { cat day1.out; fail "day 1"; }
./enter go run ./day2-cgroups --format json >day2.out || { cat day2.out; fail "day 2"; }
grep -q '"oom_kills": *1' day2.out || grep -q '"oomKills": *1' day2.out || { cat day2.out; fail "day 2: no OOM kill"; }
GO_DOCKER_ROOT=$bundle/store ./enter go run ./day3-images >day3.out || { cat day3.out; fail "day 3"; }

step "the image"
GO_DOCKER_ROOT=$bundle/store; export GO_DOCKER_ROOT
./enter go run ./day3-images load -q -i ../images/busybox.tar
[ "$(./enter go run ./day3-images run --rm busybox cat /etc/passwd)" = root:x:0:0:root:/root:/bin/sh ] || fail "the image does not run"

step "an exercise of each chapter, from failing to passing"
for exercise in 'day1 2 host-name' 'day2 3 escape' 'day3 4 pivot'; do
	set -- $exercise
	status=0
	./enter go run ./scripts/check "$1" "$2" >check.out 2>&1 || status=$?
	[ $status = 1 ] && grep -q '^not yet' check.out || { cat check.out; fail "$1 $2: the starting state: status $status"; }
	cp repository/$1-*/exercises/0$2-$3/solution/* "repository/work/$1/0$2-$3/"
	./enter go run ./scripts/check "$1" "$2" >check.out 2>&1 || { cat check.out; fail "$1 $2: the solution"; }
	grep -q '^passed' check.out || fail "$1 $2: no word of it"
done

[ "$tests" = with-tests ] || exit 0
step "what scripts/test.sh builds: vet, staticcheck, every test"
./enter go vet work
GOWORK=off ./enter go -C scripts/tools build -o /dev/null honnef.co/go/tools/cmd/staticcheck
for module in day1-namespaces day2-cgroups day3-images; do GOWORK=off ./enter go -C $module mod tidy -diff; done
./enter go test -run '^$' work >test.out || { cat test.out; fail "go test"; }
END
chmod +x "$tmp/class.sh"

for where in "$@"; do
	case $where in
	here)
		step "here, in a network namespace with nothing but lo, and with empty caches"
		# Warnings may be about this machine, such as a container's; the guest has none.
		unshare --net env -i WARN_OK=1 CI="${CI-}" HOME="$tmp/home" PATH="$PATH" TERM=dumb "$tmp/class.sh" "$bundle" with-tests
		;;
	guest)
		step "in a guest with cgroup v2"
		# The same path as here, or the build cache does not know the sources again. The race detector's
		# libraries and Go's own tests stay away.
		rm -rf "$bundle/store" "$bundle/repository/work" "$bundle/repository/.git" "$bundle/modules"
		mkdir "$tmp/go"
		tar -C "$(go env GOROOT)" --exclude=./test --exclude=./api --exclude=./doc --exclude=./misc --exclude='*_test.go' --exclude=testdata \
			--exclude='./src/runtime/race/*.syso' --exclude='./src/cmd' -cf - . | tar -C "$tmp/go" -xf -
		"$root/scripts/vm/run" -v --cgroup v2 --memory 6144 --timeout 1200 --env HOME=/root --env PATH=/usr/local/bin:/usr/bin:/bin \
			--file "$bundle:$bundle" --file "$tmp/go:$(go env GOROOT)" --file "$(command -v flock):/usr/local/bin/flock" --file "$(command -v ip):/usr/local/bin/ip" \
			"$tmp/class.sh" "$bundle" without-tests 2>"$tmp/console" || { tail -n 40 "$tmp/console"; fail "in the guest"; }
		grep '^vm:' "$tmp/console" || true
		;;
	*) fail "$where: want here or guest" ;;
	esac
done
step "kit-test: all passed"
