#!/bin/sh
# tar unpacks two layers, and knows nothing of deletions: .wh.doomed is a file like any other.
set -eu

mkdir layer1 layer2 upper work merged
tar -xf layer1.tar -C layer1
tar -xf layer2.tar -C layer2

exec unshare --mount sh -euc '
	mount -t overlay overlay -o lowerdir=layer2:layer1,upperdir=upper,workdir=work merged
	exec sleep 60'
