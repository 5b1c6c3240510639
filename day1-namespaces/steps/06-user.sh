#!/bin/sh
# Step 6. New: user ids of its own: a user namespace: root inside, an ordinary user outside. user_namespaces(7)
# Run: sh day1-namespaces/steps/06-user.sh
# Still wrong: one id is mapped, so for this root there is nobody else: files of others belong to 65534.
. "$(dirname "$0")/lib.sh"
unshare --user true 2>/dev/null || cannot "no user namespaces here: run it as root, or see user.max_user_namespaces"

# Root may map any id: here it is 65534, that of the user nobody. Others may map only their own. (nsenter(1) drops
# its groups before it enters, which only root may do; with --preserve-credentials it keeps them.)
uid=65534 gid=65534 enter='nsenter --user'
[ "$(id -u)" = 0 ] || { uid=$(id -u) gid=$(id -g) enter='nsenter --user --preserve-credentials'; }
workdir
chown "$uid" .

# A new user namespace has no ids yet. 65534 is also what the kernel shows for an id that it cannot translate.
show unshare --user id -u
show 'unshare --user sleep 600 &'
later "kill -KILL $!"
# Wait until sleep has its namespace.
until [ "$(readlink "/proc/$!/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.1; done
# The map, written from outside: id 0 in there is $uid out here, and the range is 1 id long.
show "echo '0 $uid 1' > /proc/$!/uid_map"
# Whoever drops a group could enter what is closed to just that group. So the kernel takes a group map from
# somebody without privilege only after setgroups(2) is denied.
show "echo deny > /proc/$!/setgroups"
show "echo '0 $gid 1' > /proc/$!/gid_map"

inside "$enter --target $!" <<'END'
id -u
touch file
stat -c '%n belongs to %u' file
# Its power reaches as far as its namespace: over a UTS namespace made in here ...
unshare --uts sh -c 'hostname container; hostname'
# ... and over nothing that belongs to the machine: its name, its devices. (8, 0 is its first disk.)
! hostname "$(hostname)"
! mknod disk b 8 0
END
show "stat -c '%n belongs to %u' file"
