#!/bin/sh
# layer1 is the lowest layer, layer3 the uppermost. Two are mounted, the wrong way round,
# and nothing can be written.
set -eu

exec unshare --mount sh -euc '
	mount -t overlay overlay -o lowerdir=layer1:layer2 merged
	exec sleep 60'
