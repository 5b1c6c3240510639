#!/bin/sh
# Step 12. New: the programs joined: an image runs, its changes are an image again, and tars stay inside.
# Run: sh day3-images/steps/12-together.sh
# Still wrong: no limits, no /dev, no names for images, nothing cleaned up: go run ./day3-images does all that.
# shellcheck disable=SC2016 # what show gets is run
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || cannot "only root may mount: run it as root"
private # mounts of its own, so that it may have another /run: step 8 will write there
here=$(cd "$(dirname "$0")" && pwd)
workdir
mount -t tmpfs tmpfs "$tmp" # if this machine is a container, /tmp is on an overlay, and no upper can be on one
cd "$tmp"
later "cd /; umount '$tmp'"
if [ -z "${STEPS_BIN-}" ]; then
	STEPS_BIN=$tmp/bin
	(cd "$here" && go build -o "$STEPS_BIN/" ./07-overlay ./08-whiteouts ./09-image ./10-commit ./11-hostile)
fi
for name in 07-overlay 08-whiteouts 09-image 10-commit 11-hostile; do ln -s "$STEPS_BIN/$name" "${name#*-}"; done
mount -t tmpfs tmpfs /run

# An image, by hand, and two programs that run it.
sh "$here/04-layout.sh" oci >/dev/null
show './overlay "$(./image oci layers)" box sh -c "cat /etc/motd; rm /etc/motd; echo hello >/etc/new"'

# What the box has changed is one more layer. The image runs, and other people's programs can read it.
show './commit oci box mine'
show './overlay "$(./image oci layers2)" box2 ls /etc'
if command -v skopeo >/dev/null; then show 'skopeo inspect oci:oci:mine | grep -c sha256:'; fi

# A tar that means no harm. Most distributions have this link; a name behind it is all it takes.
mkdir -p tree/run tree/var && ln -s /run tree/var/run && echo hello >tree/file
tar -cf link.tar -C tree run var
tar -rf link.tar -C tree --transform 's,^,var/run/,' file
show 'tar -tf link.tar'
show './whiteouts naive <link.tar && ls /run'
show 'rm /run/file'
show './hostile held <link.tar && ls /run held/run'

# And one that does.
tar -cPf dots.tar -C tree --transform 's,^,../,' file
show './whiteouts naive <dots.tar && ls -d file'
show 'rm file'
show './hostile held <dots.tar && ls held'
show '! ls file'
