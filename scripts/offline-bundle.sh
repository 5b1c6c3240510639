#!/bin/bash
# offline-bundle.sh [OPTIONS] [FILE.tar.gz]: all that a class needs, in one file, for no network.
#
# In it: the repository as last committed, the Go modules of the chapters and of the tests, an
# image for day 3 and a static busybox (this machine's, so for its kind of processor only), the book
# as a web site, and `enter`, which sets the environment for them.
# Default FILE: go-docker-bundle.tar.gz here. The same commit makes the same bytes.
#
#   --go FILE    also this go1.X.Y.linux-ARCH.tar.gz, with its FILE.sha256; may be repeated
#   --vm         also the kernels of scripts/vm (fetched if need be), for scripts/test.sh --all
#
# It needs Go, git, a static busybox and a network, or caches that are full.
# Exit status: 1 when it fails; no file is written then.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
die() { echo "offline-bundle: $*" >&2; exit 1; }
go=() vm=''
while [[ ${1-} == -* ]]; do
	case $1 in
	--go) [ $# -gt 1 ] || die "--go wants a FILE"; go+=("$(readlink -f "$2")"); shift ;;
	--vm) vm=1 ;;
	-h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit ;;
	*) echo "offline-bundle: unknown option $1 (see --help)" >&2; exit 125 ;;
	esac
	shift
done
out=$(readlink -f "${1:-go-docker-bundle.tar.gz}")
for f in ${go[@]+"${go[@]}"}; do
	[ -e "$f.sha256" ] || die "$f.sha256 is missing: write into it what go.dev/dl shows for this file"
	[ "$(sha256sum <"$f" | cut -d' ' -f1)" = "$(cut -d' ' -f1 <"$f.sha256")" ] || die "$f is not what $f.sha256 says: fetch it again"
done
busybox=$(command -v busybox) || busybox=''
if [ -z "$busybox" ] || ldd "$busybox" >/dev/null 2>&1; then die "the image is made from a static busybox: apt-get install busybox-static"; fi

tmp=$(mktemp -d "${TMPDIR:-/tmp}/go-docker-bundle.XXXXXX")
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
b=$tmp/go-docker-bundle
mkdir -p "$b/repository" "$b/images" "$b/bin"
say() { echo "offline-bundle: $*" >&2; }

# --- the repository
[ -z "$(git -C "$root" status --porcelain)" ] || say "the bundle has the last commit; your changes since are not in it"
git -C "$root" archive HEAD | tar -C "$b/repository" -xf -
date=$(git -C "$root" log -1 --format=%ct)

# --- modules: a cache that is empty, and the commands that have to work from it. What they fetch is what
# is needed. This machine's own cache is asked first.
say "modules"
cache=$(go env GOMODCACHE)/cache/download
export GOMODCACHE=$tmp/modules GOFLAGS=-modcacherw GOTOOLCHAIN=local
GOPROXY=$(go env GOPROXY)
[ ! -d "$cache" ] || GOPROXY="file://$cache,$GOPROXY"
export GOPROXY
cd "$b/repository"
for module in day[0-9]-*/ scripts/; do
	GOWORK=off go -C "$module" mod download
	GOWORK=off go -C "$module" mod tidy -diff >/dev/null || true # whether go.mod is tidy is for the tests to say
	GOWORK=off go -C "$module" list -deps -test ./... tool >/dev/null 2>&1 || die "$module: go list"
done
go list -deps -test work >/dev/null
GOWORK=off go -C scripts/tools list -deps tool >/dev/null 2>&1 || die "scripts/tools: go list"
mv "$GOMODCACHE/cache/download" "$b/modules"
rm -rf "$b/modules/sumdb" # go.sum has the sums
find "$b/modules" -name '*.lock' -delete
# .info names where and when a version was looked up; only the version and its time are needed.
find "$b/modules" -name '*.info' | while read -r info; do
	sed 's/.*\("Version":"[^"]*"\).*\("Time":"[^"]*"\).*/{\1,\2}/' "$info" >"$tmp/info" && cp "$tmp/info" "$info"
done
find "$b/modules" -name list -exec sort -o {} {} \;

# --- an image for day 3: a layer, a config, a manifest and an index, each named by the SHA-256 of its bytes.
# OCI image specification: layer.md, config.md, manifest.md, image-layout.md
say "image"
image=$tmp/image oci=$tmp/oci
mkdir -p "$image"/{bin,dev,etc,home,proc,root,sys,tmp,var} "$oci/blobs/sha256"
chmod 1777 "$image/tmp"
cp "$busybox" "$image/bin/busybox"
cp "$busybox" "$b/bin/busybox" # day 3 by hand copies it into a root, and a plain distribution has none that is static
for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$image/bin/$applet"; done
echo 'root:x:0:0:root:/root:/bin/sh' >"$image/etc/passwd"
echo 'root:x:0:' >"$image/etc/group"
archive() { tar -C "$1" --sort=name --mtime="@$date" --owner=0 --group=0 --numeric-owner --format=gnu "${@:3}" -cf "$2" .; }
archive "$image" "$tmp/layer.tar"
diff_id=$(sha256sum <"$tmp/layer.tar" | cut -d' ' -f1) arch=$(go env GOARCH)
blob() { # MEDIATYPE: store stdin, and print its descriptor
	local digest
	cat >"$tmp/blob"
	digest=$(sha256sum <"$tmp/blob" | cut -d' ' -f1)
	cp "$tmp/blob" "$oci/blobs/sha256/$digest"
	printf '"mediaType":"%s","digest":"sha256:%s","size":%d' "$1" "$digest" "$(stat -c %s "$tmp/blob")"
}
type=application/vnd.oci.image
layer=$(gzip -n -9 <"$tmp/layer.tar" | blob $type.layer.v1.tar+gzip)
created=$(date -u -d "@$date" +%Y-%m-%dT%H:%M:%SZ)
config=$(printf '{"created":"%s","architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"%s","comment":"a static busybox"}]}' \
	"$created" "$arch" "$diff_id" "$created" | blob $type.config.v1+json)
manifest=$(printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{%s},"layers":[{%s}]}' $type "$config" "$layer" | blob $type.manifest.v1+json)
printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[{%s,"annotations":{"org.opencontainers.image.ref.name":"busybox:latest"}}]}' $type "$manifest" >"$oci/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$oci/oci-layout"
archive "$oci" "$b/images/busybox.tar"

# --- the book
if [ -e docs/en/README.md ]; then
	say "book"
	go run ./scripts/book site -o "$b/book" >/dev/null
fi

# --- what the teacher adds
for f in ${go[@]+"${go[@]}"}; do cp "$f" "$f.sha256" "$b/"; done
if [ "$vm" ]; then
	for flavour in 6.1 6.12; do
		scripts/vm/setup "$flavour"
		mkdir -p "$b/vm/$flavour"
		cp "${XDG_CACHE_HOME:-$HOME/.cache}/go-docker/vm/$flavour"/linux-image-*.deb "$b/vm/$flavour/"
	done
fi

# --- how to use it
cat >"$b/enter" <<'END'
#!/bin/sh
# enter [COMMAND [ARG...]]: a shell, or the command, in the repository, with an environment in
# which Go needs no network. As root: sudo ./enter
#
# Nothing outside this directory is changed, except by the chapters.
set -eu
bundle=$(cd "$(dirname "$0")" && pwd)
# The modules come from here. go.sum knows their sums, so nobody else has to be asked. A Go that
# is too old says so, and does not try to fetch a newer one.
export GOPROXY="file://$bundle/modules" GOSUMDB=off GOTOOLCHAIN=local GOFLAGS=-modcacherw
export GOMODCACHE="${GOMODCACHE:-$bundle/cache/mod}" GOCACHE="${GOCACHE:-$bundle/cache/build}"
if ! command -v go >/dev/null && [ -x /usr/local/go/bin/go ]; then PATH=$PATH:/usr/local/go/bin; fi
if "$bundle/bin/busybox" true 2>/dev/null; then PATH=$bundle/bin:$PATH; fi # unless it is for another processor
# scripts/vm looks for its kernels here.
[ ! -d "$bundle/vm" ] || {
	mkdir -p "$bundle/cache/go-docker"
	ln -sfn "$bundle/vm" "$bundle/cache/go-docker/vm"
	export XDG_CACHE_HOME="$bundle/cache"
}
cd "$bundle/repository"
# The tests ask git which files there are, and with it you see what you have changed.
if [ ! -e .git ] && command -v git >/dev/null; then
	git init -q -b main && git add -A
	git -c user.name=bundle -c user.email=bundle@localhost commit -q -m "as in the bundle"
fi
if ! command -v go >/dev/null; then
	echo "enter: no Go here: repository/scripts/vm/provision.sh --offline $bundle" >&2
elif [ ! -d "$GOMODCACHE" ]; then # the first time: unpack the modules, so that doctor finds all of them
	said=$(go list -deps -test work 2>&1 >/dev/null) || echo "enter: $(echo "$said" | head -n 1)
enter: if it asks for a newer Go: repository/scripts/vm/provision.sh --offline $bundle" >&2
fi
if [ $# = 0 ]; then set -- "${SHELL:-/bin/sh}"; fi
exec "$@"
END
chmod 755 "$b/enter"
cat >"$b/README" <<'END'
go-docker, day by day: without a network

  sudo ./repository/scripts/vm/provision.sh --offline "$PWD"   once: Go, if it is in here
  sudo ./enter                                                 a shell in the repository
  # ./scripts/doctor.sh
  # go run ./day2-cgroups
  # go run ./day3-images load -i ../images/busybox.tar
  # ./scripts/test.sh          also wants the packages that `provision.sh --tests` installs

The book: book/index.html. SHA256SUMS: sha256sum -c SHA256SUMS

沒有網路時

  sudo ./repository/scripts/vm/provision.sh --offline "$PWD"   一次就好：安裝 Go（若有附在裡面）
  sudo ./enter                                                 進入儲存庫的 shell
其餘指令同上。書在 book/index.html。
END
(cd "$b" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$tmp/sums"
mv "$tmp/sums" "$b/SHA256SUMS"

chmod -R u+rw,go=rX "$b"
tar -C "$tmp" --sort=name --mtime="@$date" --owner=0 --group=0 --numeric-owner --format=gnu -cf - go-docker-bundle | gzip -n -6 >"$out.new"
mv "$out.new" "$out"
say "$out, $(du -h "$out" | cut -f1)"
