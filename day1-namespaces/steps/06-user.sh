#!/bin/sh
# A user namespace: root inside, an ordinary user outside. user_namespaces(7)
#
# Shows    user and group ids translated through a map that the parent writes, and
#          how far the power of such a root reaches.
# Look at  the owner of the file, inside and outside, and the two refusals.
# Needs    root, or a kernel that lets plain users make user namespaces.
# Leaves   nothing.
# Go       CLONE_NEWUSER and SysProcAttr.UidMappings, GidMappings
set -eu
cd "$(dirname "$0")"; me=${0##*/} at=${1-}
show() { printf '%s$ %s\n' "$at" "$*"; eval "$*"; } # print it, run it
fail() { echo "$me: $*" >&2; exit 1; }
cannot() { echo "$me: $*" >&2; exit 125; }

if [ "$at" = inside ]; then
	show id -u
	[ "$(id -u)" = 0 ] || fail "not root inside"
	show cat /proc/self/uid_map
	show touch file
	show "stat -c '%n belongs to %u' file"
	# This root rules what belongs to its namespace, such as a UTS namespace it makes ...
	show "unshare --uts sh -c 'hostname container; hostname'"
	# ... and is nobody to what belongs to the machine: its name, its devices.
	# (Should the kernel allow the first after all, the name stays the same.)
	if show "hostname $(hostname)"; then fail "root of a user namespace may rename the machine"; fi
	if show mknod disk b 8 0; then fail "root of a user namespace may make device nodes"; fi
	exit
fi

unshare --user --map-root-user true 2>/dev/null ||
	cannot "may not make a user namespace here; root may, unless user.max_user_namespaces is 0"

# Root may map anybody, and takes nobody. A plain user may map only himself, which he is already.
uid=65534 gid=65534 enter='nsenter --user'
[ "$(id -u)" = 0 ] || { uid=$(id -u) gid=$(id -g) enter='nsenter --user --preserve-credentials'; }

cleanup() { trap '' HUP INT TERM; set +eu; [ -z "$holder" ] || kill -KILL "$!"; rm -rf "$dir"; }
trap '' HUP INT TERM # until the name to clean up is known
dir=$(mktemp -d "/tmp/go-docker-step.$$.XXXXXX"); holder=''
trap 'cleanup 2>/dev/null' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
cp "$me" "$dir"; chown -R "$uid" "$dir"; cd "$dir" # where we are may be closed to him, as /root is
outside=$(readlink /proc/self/ns/user)
show readlink /proc/self/ns/user
holder=yes; unshare --user sleep 600 &
until [ "$(readlink "/proc/$!/ns/user")" != "$outside" ]; do sleep 0.1; done
show readlink "/proc/$!/ns/user"
# The new namespace has no ids yet: everybody in it is 65534, the kernel's word for "none".
show "echo '0 $uid 1' > /proc/$!/uid_map"
# A user who drops a group could enter what is closed to that group only, so
# without privilege the kernel takes a group map only after setgroups(2) is denied.
show "echo deny > /proc/$!/setgroups"
show "echo '0 $gid 1' > /proc/$!/gid_map"
show "$enter --target $! sh $me inside"
show "stat -c '%n belongs to %u' file"
[ "$(stat -c %u file)" = "$uid" ] || fail "the file does not belong to uid $uid outside"
