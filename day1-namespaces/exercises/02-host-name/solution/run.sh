#!/bin/sh
set -eu

exec unshare --uts sh -c '
	hostname box
	exec sleep 60'
