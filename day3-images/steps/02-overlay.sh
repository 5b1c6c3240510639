#!/bin/sh
# Step 2. New: one tree made of two directories: overlayfs. Documentation/filesystems/overlayfs.rst
# Run: sh day3-images/steps/02-overlay.sh
# Still wrong: an image must be copied to every machine. Directories do not travel; archives do.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || cannot "only root may mount: run it as root"

# lower plays the image, upper what a container changes. They are on a tmpfs because upper cannot be on an overlay,
# and if this machine is a container, its / is one.
inside "unshare --mount" <<'END'
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir lower upper work merged lower/box
for file in change doomed old box/inside; do echo 'from lower' >lower/$file; done
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
ls -x merged
ls upper | wc -l
# A change: the kernel copies the whole file to upper first. This is copy-up.
echo 'from the container' >>merged/change
cat lower/change
cat upper/change
# A deletion: lower is only read, so upper gets a mark, a whiteout: a character device with the number 0, 0.
rm merged/doomed
ls -x merged
ls -l upper/doomed
# A new name is both, a copy and a whiteout.
mv merged/old merged/new
ls -l upper
# A directory that was removed and made again is opaque: nothing of the one below it shows through.
rm -r merged/box
mkdir merged/box
ls -A merged/box | wc -l
# After all this the image is as it was.
ls -R -x lower
END
