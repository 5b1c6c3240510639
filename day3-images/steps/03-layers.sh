#!/bin/sh
# Step 3. New: a layer is a tar archive, and .wh.NAME in it means that NAME is deleted. OCI image-spec, layer.md
# Run: sh day3-images/steps/03-layers.sh
# Still wrong: nothing says which layers an image has, in which order, and whether they have arrived unharmed.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || cannot "only root may mount: run it as root"

inside "unshare --mount" <<'END'
mount -t tmpfs tmpfs /mnt
cd /mnt
# Layer 2 changes one file of layer 1, and deletes another. A tar holds files, so the deletion is one: .wh.doomed
mkdir one two plain merged
echo 'from layer 1' | tee one/greeting >one/doomed
echo 'from layer 2' >two/greeting
touch two/.wh.doomed
tar -cf one.tar -C one .
tar -cf two.tar -C two .
tar -tf two.tar
# tar(1) does not know about that: if it unpacks one over the other, doomed is still there.
tar -xf one.tar -C plain
tar -xf two.tar -C plain
ls -A -x plain
# So each layer gets a directory of its own, in which .wh.doomed becomes the mark that overlayfs understands.
rm two/.wh.doomed
mknod two/doomed c 0 0
# The uppermost layer comes first.
mount -t overlay overlay -o lowerdir=two:one merged
ls -A -x merged
cat merged/greeting
# Compressed, the same layer is other bytes. So it has two names: the digest, of what travels, and the diff ID, of the tar.
gzip -n -c two.tar | sha256sum
gzip -n -c two.tar | gzip -d | sha256sum
sha256sum two.tar
END
