#!/bin/sh
# Step 4. New: an image by hand: files named by their SHA-256, and each names the next. OCI image-layout.md
# Run: sh day3-images/steps/04-layout.sh; or, to keep the image, sh day3-images/steps/04-layout.sh /tmp/oci
# Still wrong: only a program can follow the digests, check them all, and unpack the layers: steps 8 and 9.
# shellcheck disable=SC2016 # what show gets is run
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || cannot "only root may make a root directory: run it as root"
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -gt 0 ]; then mkdir "$1"; cd "$1"; else workdir; fi

# Two layers: busybox; and one that adds a file and deletes another.
sh "$here/01-chroot.sh" one >/dev/null
mkdir -p two/etc two/bin && echo 'Hello from layer 2' >two/etc/motd && touch two/bin/.wh.vi
show 'tar -cf layer1.tar -C one .'
show 'tar -cf layer2.tar -C two . && gzip -n -k layer2.tar'

# Each file gets its SHA-256 for a name, so whoever has the name can tell whether the file is the right one.
mkdir -p blobs/sha256
digest() { sha256sum <"$1" | cut -d ' ' -f 1; }
blob() { # FILE TYPE: gives FILE its name, and prints how others refer to it
	sha=$(digest "$1") size=$(wc -c <"$1")
	echo "{'mediaType':'application/vnd.oci.image.$2','digest':'sha256:$sha','size':$size}" | tr "'" '"'
	mv "$1" "blobs/sha256/$sha"
}
# The configuration says what to run, and the diff IDs: the digests of the layers as tar, lowest first.
arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
cat >config <<END
{"architecture":"$arch","os":"linux","config":{"Cmd":["sh"],"Env":["PATH=/bin"]},
"rootfs":{"type":"layers","diff_ids":["sha256:$(digest layer1.tar)","sha256:$(digest layer2.tar)"]}}
END
# The manifest names the configuration and the layers as they travel; index.json names the manifest.
cat >manifest <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":$(blob config config.v1+json),
"layers":[$(blob layer1.tar layer.v1.tar),$(blob layer2.tar.gz layer.v1.tar+gzip)]}
END
echo '{"schemaVersion":2,"manifests":['"$(blob manifest manifest.v1+json)"']}' >index.json
echo '{"imageLayoutVersion":"1.0.0"}' >oci-layout
rm -r one two layer2.tar
show cat index.json
show 'cat blobs/sha256/$(grep -o "[0-9a-f]\{64\}" index.json)'
show 'cd blobs/sha256; for name in *; do echo "$name  $name"; done | sha256sum -c'
