#!/bin/sh
# Step 1. New: a host name of its own for one shell: a UTS namespace. uts_namespaces(7), sethostname(2)
# Run: sh day1-namespaces/steps/01-uts.sh
# Still wrong: the host name is all it has of its own. Its processes, files and network are the machine's.
. "$(dirname "$0")/lib.sh"

# UTS is from struct utsname, in which uname(2) returns the host name. A namespace is known by a number, here the
# one in uts:[...]: processes that show the same number share one host name.
show readlink /proc/self/ns/uts
show hostname

# unshare(2) moves its caller into a new namespace. unshare(1) calls it and then executes sh. $new is unshare, with
# options that make you root if you are not: lib.sh.
inside "$new --uts" <<'END'
readlink /proc/self/ns/uts
# The new namespace started as a copy of the old one.
hostname
hostname container
hostname
END

# Out here nothing has changed. Nor is there anything to clean up: a namespace ends with its last process.
show hostname
