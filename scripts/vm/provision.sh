#!/bin/sh
# provision.sh [--tests] [--offline BUNDLE] [--go FILE]: make a machine ready for the chapters.
#
# A plain Debian, Ubuntu or Fedora, best a virtual one. Run it as root, as often as you like:
# what is there already is left alone. It says what it does, and changes nothing else:
#
#   packages   those that the chapters, exercises and tests use
#   Go         1.25 or later, from the distribution if it has that, else the archive of go.dev
#              in /usr/local/go, linked from /usr/local/bin, where sudo(8) finds it, too
#   modules    what `go run` would fetch, fetched now (if the repository is here)
#
#   --tests           also the packages that only scripts/test.sh wants (podman and others, 150 MB)
#   --go FILE         take Go from this go1.X.Y.linux-ARCH.tar.gz. Its checksum is asked of
#                     FILE.sha256 beside it, or of go.dev
#   --offline BUNDLE  use no network: Go and modules come from the directory of an unpacked
#                     bundle (scripts/offline-bundle.sh). Packages that are missing are named
#
# GO_DL is where the archives and their list come from, else https://go.dev/dl.
# Exit status: 0 ready, 1 something is missing (it says what), 125 wrong use.
set -eu
LC_ALL=C
export LC_ALL

GO_WANTED=25 # 1.25, as in go.work
GO_DL=${GO_DL:-https://go.dev/dl}
bundle='' archive='' tests=''
usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit "$1"; }
while [ $# -gt 0 ]; do
	case $1 in
	--offline | --go)
		[ $# -gt 1 ] || usage 125 >&2
		[ "$1" = --go ] && archive=$2 || bundle=$2
		shift 2
		;;
	--tests) tests=1 && shift ;;
	-h | --help) usage 0 ;;
	*) usage 125 >&2 ;;
	esac
done
say() { echo "provision: $*"; }
fail() { echo "provision: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
again() { # COMMAND...: a mirror, or who holds the package manager's locks, may refuse for a moment
	for pause in 5 15 30; do
		! "$@" || return 0
		sleep $pause
	done
	"$@"
}
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"; }
[ "$(id -u)" = 0 ] || { echo "provision: must be root: sudo sh $0" >&2; exit 125; }
[ -z "$bundle" ] || [ -d "$bundle" ] || { echo "provision: --offline $bundle: no such directory" >&2; exit 125; }

# --- packages

# COMMAND DEBIAN FEDORA
wanted='
unshare util-linux util-linux
ip iproute2 iproute
nft nftables nftables
ps procps procps-ng
pstree psmisc psmisc
stress stress stress
busybox busybox-static busybox
git git git-core
curl curl curl
gcc gcc gcc
make make make
shellcheck shellcheck ShellCheck
getfattr attr attr
xz xz-utils xz
man man-db man-db
'
[ -z "$tests" ] || wanted="$wanted
setcap libcap2-bin libcap
zstd zstd zstd
strace strace strace
crun crun crun
umoci umoci umoci
skopeo skopeo skopeo
buildah buildah buildah
podman podman podman
docker-registry docker-registry docker-distribution
"
if have apt-get; then column=2; elif have dnf; then column=3; else fail "neither apt-get nor dnf is here: this is for Debian, Ubuntu and Fedora"; fi
missing=$(echo "$wanted" | while read -r command debian fedora; do
	[ -z "$command" ] || have "$command" || { [ $column = 2 ] && echo "$debian" || echo "$fedora"; }
done)
# shellcheck disable=SC2086 # a list of words
if [ -z "$missing" ]; then
	say "packages: all there"
elif [ -n "$bundle" ]; then
	# Days 1 to 4 need unshare, ip and ps, which every distribution installs; day 5 nft as well.
	say "packages: without a network these stay away:" $missing
elif [ $column = 2 ]; then
	say "packages: installing" $missing
	[ ! -e /usr/include/stdio.h ] && missing="$missing libc6-dev" # for go test -race
	again apt update
	again apt install -y --no-install-recommends ca-certificates $missing >/dev/null
else
	say "packages: installing" $missing
	again dnf -q -y install $missing glibc-devel >/dev/null
fi

# --- Go

new_enough() { # GO: is it a Go that will do?
	minor=$("$1" version 2>/dev/null | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p')
	[ "${minor:-0}" -ge "$GO_WANTED" ]
}

# The newest Go of the distribution, as PACKAGE PATH, if it is new enough. Debian and Ubuntu
# have one package for each version, and put it out of PATH.
from_distribution() {
	if [ $column = 3 ]; then
		minor=$(dnf -q repoquery --latest-limit 1 --qf '%{version}' golang 2>/dev/null | sed -n 's/^1\.\([0-9]*\).*/\1/p' | tail -n 1)
		[ "${minor:-0}" -lt "$GO_WANTED" ] || echo golang /usr/bin/go
		return
	fi
	minor=$(apt-cache search --names-only '^golang-1\.[0-9]+-go$' | sed -n 's/^golang-1\.\([0-9]*\)-go .*/\1/p' | sort -n | tail -n 1)
	[ "${minor:-0}" -lt "$GO_WANTED" ] || echo "golang-1.$minor-go" "/usr/lib/go-1.$minor/bin/go"
}

case $(uname -m) in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac

# listed: go.dev's list of current releases, as lines "FILE SHA256", the newest first.
listed() {
	curl -fsSL --retry 3 "$GO_DL/?mode=json" | tr , '\n' |
		sed -n 's/.*"filename": *"\([^"]*\)".*/f \1/p; s/.*"sha256": *"\([^"]*\)".*/s \1/p' |
		while read -r kind value; do
			case $kind in f) file=$value ;; s) echo "$file $value" ;; esac
		done
}

unpack_go() { # ARCHIVE SHA256
	sum=$(sha256sum "$1" | cut -d ' ' -f 1)
	[ "$sum" = "$2" ] || fail "$1 has the SHA-256 $sum and should have $2: fetch it again"
	rm -rf /usr/local/go.new
	mkdir -p /usr/local/go.new
	tar -xzf "$1" -C /usr/local/go.new
	new_enough /usr/local/go.new/go/bin/go || fail "$1 holds $(/usr/local/go.new/go/bin/go version 2>&1), and 1.$GO_WANTED is needed"
	rm -rf /usr/local/go
	mv /usr/local/go.new/go /usr/local/go
	rmdir /usr/local/go.new
}

install_go() {
	if [ -n "$bundle" ] && [ -z "$archive" ]; then
		for f in "$bundle"/go1.*.linux-"$arch".tar.gz; do [ ! -e "$f" ] || archive=$f; done
		[ -n "$archive" ] || fail "no Go here, and none in $bundle: put go1.X.Y.linux-$arch.tar.gz and its .sha256 there"
	fi
	if [ -z "$archive" ]; then
		# shellcheck disable=SC2046 # two words or none
		set -- $(from_distribution)
		if [ $# = 2 ]; then
			say "Go: installing $1"
			if [ $column = 2 ]; then
				again apt install -y --no-install-recommends "$1" >/dev/null
			else
				again dnf -q -y install "$1" >/dev/null
			fi
			go=$2
			return
		fi
		found=$(listed | grep "\.linux-$arch\.tar\.gz " | head -n 1)
		[ -n "$found" ] || fail "cannot read the list of releases at $GO_DL; fetch an archive elsewhere and use --go FILE"
		archive=$(mktemp -d)/${found% *}
		say "Go: fetching $GO_DL/${found% *}"
		curl -fsSL --retry 3 -o "$archive" "$GO_DL/${found% *}"
		unpack_go "$archive" "${found#* }"
		rm -r "${archive%/*}"
	else
		say "Go: unpacking $archive"
		if [ -e "$archive.sha256" ]; then
			sum=$(cut -d ' ' -f 1 <"$archive.sha256")
		else
			[ -z "$bundle" ] || fail "no $archive.sha256: make it where you fetched the archive, with the sum that go.dev/dl shows"
			sum=$(listed | sed -n "s/^${archive##*/} //p")
			[ -n "$sum" ] || fail "go.dev does not list ${archive##*/}: put its SHA-256 into $archive.sha256"
		fi
		unpack_go "$archive" "$sum"
	fi
	go=/usr/local/go/bin/go
}

go=''
for candidate in $(command -v go || true) /usr/local/go/bin/go /usr/lib/go-1.*/bin/go; do
	[ -x "$candidate" ] || continue
	if new_enough "$candidate"; then go=$candidate && break; fi
	say "Go: $candidate is too old, and stays ($("$candidate" version 2>&1))"
done
[ -n "$go" ] || install_go
# Not a line in /etc/profile, which neither sudo nor a script reads. /usr/local/bin comes first
# in PATH, so an older Go in /usr/bin is out of the way.
for tool in go gofmt; do
	case $(command -v $tool || true) in
	"${go%/*}/$tool") ;; # in PATH where it is
	*) ln -sfn "${go%/*}/$tool" /usr/local/bin/$tool ;;
	esac
done
say "Go: $("$go" version | cut -d ' ' -f 3), $(command -v go || echo "$go")"

# --- modules

repository=$(cd "$(dirname "$0")/../.." && pwd)
if [ ! -e "$repository/go.work" ]; then
	say "modules: no repository here; in it, 'go mod download' fetches them"
	exit
fi
if [ -n "$bundle" ]; then
	# In Go's own settings, so that plain `go run` works: go help environment
	"$go" env -w GOPROXY="file://$bundle/modules" GOSUMDB=off GOTOOLCHAIN=local
fi
cd "$repository"
again "$go" list -deps -test work >/dev/null # loads all that the chapters and tests are built from
say "modules: $("$go" env GOMODCACHE)"
