#!/bin/bash
# Record docs/images/day2-demo.svg anew, as readers see the demo: on a machine with cgroup v2. On one of those
# `go run ./scripts/book record` does it, as root; this script does it anywhere, in a virtual machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d /tmp/go-docker-record.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir "$tmp/bin" "$tmp/repo"
CGO_ENABLED=0 go build -o "$tmp/bin/" ./day2-cgroups ./scripts/book
git ls-files -z | xargs -0 cp --parents -t "$tmp/repo"
# shellcheck disable=SC2016 # for the guest's shell
scripts/vm/run --cgroup v2 --file "$tmp/bin:/work/bin" --file "$tmp/repo:/work/repo" --file scripts/book/guest-go:/usr/local/bin/go \
	sh -ec 'cd /work/repo; /work/bin/book record -o /tmp/demo.svg >&2; cat /tmp/demo.svg' >"$tmp/demo.svg"
mv "$tmp/demo.svg" docs/images/day2-demo.svg
