#!/bin/sh
set -eu

exec unshare --mount sh -euc '
	mount -t overlay overlay -o lowerdir=layer3:layer2:layer1,upperdir=upper,workdir=work merged
	exec sleep 60'
