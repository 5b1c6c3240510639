#!/bin/bash
# Measure this repository's programs beside others that do the same, in turns, and write
# the tables and the picture of docs/*/figures.md.
#
#   scripts/bench.sh             ten to twenty minutes, as root, on a machine that does nothing else
#   scripts/bench.sh --short     a look, in five minutes: writes nothing into docs
#
# Whichever of runc, crun, bubblewrap, podman, umoci, skopeo, docker-registry and containerd
# are installed take part (Debian's packages have these names); containernetworking-plugins
# must be. On a machine that has cgroup v2 beside v1, crun refuses to run; so the benchmarks
# have a mount namespace in which v2 is covered, as on a machine with v1 alone.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1-} in '' | --short) ;; *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 125 ;; esac
short=${1-}
[ "$(id -u)" = 0 ] || { echo "bench.sh: run it as root" >&2; exit 125; }
if [ -z "${GO_DOCKER_BENCH-}" ] && [ -d /sys/fs/cgroup/unified ] && [ -d /sys/fs/cgroup/memory ]; then
	export GO_DOCKER_BENCH=started
	exec unshare --mount --propagation private sh -c \
		'mount -t tmpfs tmpfs /sys/fs/cgroup/unified && exec "$@"' sh "$0" "$@"
fi

dir=$(mktemp -d)
disk=$(mktemp -d /tmp/b.XXXX) # podman wants short paths
loop=''
release_disk() {
	umount -l "$disk" 2>/dev/null || true
	[ -z "$loop" ] || losetup --detach "$loop" || true
	loop=''
	rm -f "$dir/ext4"
}
trap 'release_disk; rm -rf "$dir"; rmdir "$disk"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export GO_DOCKER_BENCH=$dir/measured.jsonl
export CGO_ENABLED=0 # static programs: without the dynamic linker, which takes its time in each start
export GOFLAGS=-tags=urfave_cli_no_docs # as runc does: without the code that prints a program's help as a manual page
iterations() { if [ -z "$short" ]; then echo "$1x"; else echo 2x; fi; }

# fresh_disk: a new ext4. Before ext4 reuses an inode, it checks whether it was
# freed within the last minutes (recently_deleted in fs/ext4/ialloc.c), so where many
# files have just been removed, as by the previous benchmark, creating files takes
# three times as long.
fresh_disk() {
	release_disk
	truncate -s 40G "$dir/ext4"
	mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$dir/ext4"
	# Direct: what is written does not go through the page cache a second time.
	loop=$(losetup --find --show --direct-io=on "$dir/ext4") && mount "$loop" "$disk" ||
		echo "bench.sh: no loop device: measuring on the disk of /tmp" >&2
}
bench() { # DIRECTORY BENCHMARK ROUNDS
	fresh_disk
	TMPDIR=$disk go -C "$1" test -run '^$' -bench "^Benchmark$2\$" -benchtime "$(iterations "$3")" -timeout 30m ${short:+-short} .
}
bench day2-cgroups Start 30
bench day3-images Start 40
bench day3-images GoStart 40
bench day3-images AtOnce 7
bench day3-images Unpack 7
bench day3-images Pull 7
bench day4-lifecycle Detach 40
bench day4-lifecycle Exec 40
bench day4-lifecycle Ps 40
bench day4-lifecycle Log 7
bench day4-lifecycle ShimMemory 1
bench day5-networks NetworkStart 30
bench day5-networks NetworkAlone 30
bench day5-networks/network Connect 30
bench day5-networks/network Many 3
bench day5-networks/network Throughput 60

# Day 2 again on cgroup v2, in a virtual machine. If that is emulated, its milliseconds say little.
mkdir "$dir/bin"
go build -o "$dir/bin/" ./day2-cgroups
go -C day2-cgroups test -c -o "$dir/bin/bench.test"
peers=()
for tool in runc crun; do
	path=$(command -v $tool) && peers+=(--file "$path:/usr/local/bin/$tool")
done
scripts/vm/run --cgroup v2 --cpus 2 --timeout 1200 --file "$dir/bin:/work/bin" "${peers[@]}" \
	--env STEPS_BIN=/work/bin --env GO_DOCKER_BENCH=/dev/stdout \
	"$dir/bin/bench.test" -test.run '^$' -test.bench '^BenchmarkStart$' -test.benchtime "$(iterations 30)" ${short:+-test.short} | tee "$dir/v2"
sed -n '/^{/s/"day 2 start"/"day 2 start, v2"/p' "$dir/v2" >>"$GO_DOCKER_BENCH"

[ -z "$short" ] || exit 0
go run ./scripts/figures "$GO_DOCKER_BENCH"
go run ./scripts/book check
