#!/bin/sh
set -eu

mkdir layer1 layer2 upper work merged
tar -xf layer1.tar -C layer1
tar -xf layer2.tar -C layer2

# To overlayfs a deletion is a character device 0, 0. An opaque directory is an extended
# attribute, or, without setfattr(1), a deletion of each name below it.
cd layer2
find . -name '.wh.*' | while read -r mark; do
	dir=${mark%/*} name=${mark##*/}
	rm "$mark"
	if [ "$name" = .wh..wh..opq ]; then
		for below in "../layer1/$dir"/*; do
			[ -e "$dir/${below##*/}" ] || mknod "$dir/${below##*/}" c 0 0
		done
	else
		mknod "$dir/${name#.wh.}" c 0 0
	fi
done
cd ..

exec unshare --mount sh -euc '
	mount -t overlay overlay -o lowerdir=layer2:layer1,upperdir=upper,workdir=work merged
	exec sleep 60'
