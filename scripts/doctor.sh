#!/bin/sh
# doctor.sh [--json]: can this machine run the chapters?
#
# One line for each check (ok, warn, FAIL), with what to do below it where needed,
# and at the end one for each chapter: ready, or which checks stop it. Exit status: 0 when
# every chapter can run, 1 when not, 2 for a bad option. Run it the way you will
# run the chapters, that is with sudo: much can only be tried as root.
#
# It looks, and where looking proves nothing, it tries: an overlay mount and a
# pivot_root, in a mount namespace and a directory that are gone afterwards.
#
# Any POSIX shell will do, with the tools of coreutils or busybox. DOCTOR_ROOT
# is for the tests: a directory with the /proc, /sys and /etc of some other
# machine; what can only be tried is then left out.
set -u
LC_ALL=C
export LC_ALL

R=${DOCTOR_ROOT:-}
REPO=$(cd "$(dirname "$0")/.." && pwd) || exit 1
STORE=${GO_DOCKER_ROOT:-/var/lib/go-docker} # day 3's images and containers
GO_WANTED=25                                # 1.25, as in every go.mod
[ -n "$R" ] || PATH=$PATH:/usr/sbin:/sbin   # a plain user's often lacks them

json=''
case ${1:-} in
'') ;;
--json) json=yes ;;
*)
	echo "usage: $0 [--json]" >&2
	exit 2
	;;
esac

# --- the report

day1='' day2='' day3='' day4='' day5='' # the checks that stop each chapter
records=''
ok='' warn='' fail='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	esc=$(printf '\033')
	ok="${esc}[32m" warn="${esc}[33m" fail="${esc}[1;31m" plain="${esc}[0m"
fi

# check NAME STATUS DAYS DETAIL [FIX]. DAYS are the chapters that a FAIL stops; what stops
# day 3 stops those that build on it.
check() {
	colour=$ok
	case $2 in
	warn) colour=$warn ;;
	FAIL)
		colour=$fail
		case $3 in *1*) day1="$day1 $1" ;; esac
		case $3 in *2*) day2="$day2 $1" ;; esac
		case $3 in *3*) day3="$day3 $1" ;; esac
		case $3 in *[34]*) day4="$day4 $1" ;; esac
		case $3 in *[35]*) day5="$day5 $1" ;; esac
		;;
	esac
	if [ -n "$json" ]; then
		records="$records${records:+,}
    {\"name\": $(quote "$1"), \"status\": $(quote "$2"), \"detail\": $(quote "$4"), \"fix\": $(quote "${5:-}")}"
		return
	fi
	printf '%s%-4s%s  %-11s  %s\n' "$colour" "$2" "$plain" "$1" "$4"
	[ -z "${5:-}" ] || printf '      -> %s\n' "$5"
}

quote() { # a JSON string
	case $1 in
	*[\\\"[:cntrl:]]*) printf '"%s"' "$(printf %s "$1" | tr '\000-\037' ' ' | sed 's/[\\"]/\\&/g')" ;;
	*) printf '"%s"' "$1" ;;
	esac
}

finish() {
	if [ -n "$json" ]; then
		all=true
		[ -z "$day1$day2$day3$day4$day5" ] || all=false
		printf '{\n  "ready": %s,\n  "days": [\n' $all
		json_day 1 "$day1" ,
		json_day 2 "$day2" ,
		json_day 3 "$day3" ,
		json_day 4 "$day4" ,
		json_day 5 "$day5" ''
		printf '  ],\n  "checks": [%s\n  ]\n}\n' "$records"
	else
		echo
		text_day 'day 1  namespaces' "$day1"
		text_day 'day 2  cgroups   ' "$day2"
		text_day 'day 3  images    ' "$day3"
		text_day 'day 4  lifecycle ' "$day4"
		text_day 'day 5  networks  ' "$day5"
	fi
	[ -z "$day1$day2$day3$day4$day5" ]
	exit
}

json_day() {
	ready=true
	[ -z "$2" ] || ready=false
	list=$(for c in $2; do printf ', "%s"' "$c"; done)
	printf '    {"day": %s, "ready": %s, "stopped_by": [%s]}%s\n' "$1" $ready "${list#, }" "$3"
}

text_day() {
	if [ -z "$2" ]; then
		printf '%s   %sready%s\n' "$1" "$ok" "$plain"
	else
		printf '%s   %sstopped by%s: %s\n' "$1" "$fail" "$plain" "$(printf %s "${2# }" | sed 's/ /, /g')"
	fi
}

# --- helpers

have() { command -v "$1" >/dev/null 2>&1; }
live() { [ -z "$R" ]; } # this machine, not a test's picture of one
setting() { # FILE: its first line
	line=''
	{ read -r line <"$R$1"; } 2>/dev/null
	echo "$line"
}
as_root() { [ "$user" = root ]; }

kernel_has() { [ "$major" -gt "$1" ] || { [ "$major" -eq "$1" ] && [ "$minor" -ge "$2" ]; }; }

# install DEB RPM: the command for this distribution
install() {
	case $distro in
	*debian* | *ubuntu*) echo "sudo apt install $1" ;;
	*fedora* | *rhel*) echo "sudo dnf install $2" ;;
	*) echo "Debian, Ubuntu: sudo apt install $1; Fedora: sudo dnf install $2" ;;
	esac
}

# bounded SECONDS COMMAND...: nothing here may hang in front of a class. Without
# --foreground, timeout(1) of coreutils hides the command from ^C; busybox does
# not know the option, and does not do that.
bounded() {
	if timeout --foreground 1 true 2>/dev/null; then
		timeout --foreground "$@"
	elif have timeout; then
		timeout "$@"
	else
		shift
		"$@"
	fi
}

# privately COMMAND ARG: sh -c COMMAND in a mount namespace of its own. Made
# private once more by hand, because not every unshare(1) does it.
privately() {
	bounded 20 unshare -m sh -c "mount --make-rprivate / && $1" sh "$2" 2>&1
}

scratch='' # our temporary directories; Go makes some of its own read-only
trap 'for d in $scratch; do chmod -R u+w "$d"; rm -rf "$d"; done' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

# --- the checks

check_system() {
	distro='' name=''
	if [ -r "$R/etc/os-release" ]; then
		distro=$(sed -n 's/^ID\(_LIKE\)*=//p' "$R/etc/os-release" | tr -d '"' | tr '\n' ' ')
		name=$(sed -n 's/^PRETTY_NAME=//p' "$R/etc/os-release" | tr -d '"')
	fi
	system=$(uname -s)
	if [ "$system" != Linux ]; then
		check system FAIL 123 "$system: containers are made of Linux kernel features" \
			'use a Linux VM (on a Mac: brew install lima; limactl start; limactl shell default)'
		finish
	fi
	arch=$(uname -m)
	case $arch in
	x86_64 | aarch64) check system ok '' "${name:-Linux}, $arch" ;;
	*) check system warn '' "${name:-Linux}, $arch: tested on x86_64 and aarch64 only" ;;
	esac
}

check_kernel() {
	release=$(setting /proc/sys/kernel/osrelease)
	major=${release%%.*}
	minor=${release#*.}
	minor=${minor%%[!0-9]*}
	case $major-$minor in
	*[!0-9-]* | -* | *-)
		check kernel FAIL 123 "cannot read its version from /proc/sys/kernel/osrelease" 'mount it: sudo mount -t proc proc /proc'
		major=0 minor=0
		return
		;;
	esac
	lost=''
	kernel_has 5 7 || lost="$lost, birth inside a cgroup on v2 (5.7)"
	kernel_has 5 11 || lost="$lost, overlay for plain users (5.11)"
	kernel_has 5 14 || lost="$lost, cgroup.kill (5.14)"
	kernel_has 5 19 || lost="$lost, memory.peak (5.19)"
	upgrade='a newer distribution release brings a newer kernel (Ubuntu 22.04 or Debian 12 and later)'
	if ! kernel_has 4 6; then
		check kernel FAIL 123 "$release: before 4.6, which has no cgroup namespaces" "$upgrade"
	elif ! kernel_has 5 12; then
		check kernel FAIL 3 "$release: before 5.12, no mount_setattr and perhaps no openat2, to make a container's root safely; nor${lost#,}" "$upgrade"
	elif [ -n "$lost" ]; then
		check kernel warn '' "$release; goes without${lost#,}" "$upgrade"
	else
		check kernel ok '' "$release"
	fi
}

# WSL 1 and 2 are recognised by the kernel's name; a container is where the
# PID namespace is not the machine's first, whose inode number is a constant of
# the kernel (PROC_PID_INIT_INO). Files such as /.dockerenv say which kind, but
# prove nothing: disk images made from a container's files have them too.
check_machine() {
	case $(setting /proc/sys/kernel/osrelease) in
	*Microsoft*)
		check machine FAIL 123 'WSL 1, which has no Linux kernel' 'in PowerShell: wsl --set-version NAME 2 (names: wsl -l)'
		return
		;;
	*microsoft*)
		case $REPO in
		/mnt/*) check machine warn '' "WSL 2, with the chapters on a Windows drive: slow, and no overlay there" 'copy them to your home directory: cp -r . ~/go-docker' ;;
		*) check machine ok '' 'WSL 2: a virtual machine; keep the chapters off /mnt/c' ;;
		esac
		return
		;;
	esac
	if [ "$(readlink "$R/proc/self/ns/pid")" != 'pid:[4026531836]' ]; then
		kind=$(setting /run/systemd/container)
		[ ! -e "$R/.dockerenv" ] || kind=Docker
		[ ! -e "$R/run/.containerenv" ] || kind=Podman
		check machine warn '' "a container (${kind:-of some kind}): shares its host's kernel, may do little" \
			'a VM is easier; Docker needs: docker run --privileged --cgroupns=host -v /var/lib/go-docker'
	elif grep -qw hypervisor "$R/proc/cpuinfo" 2>/dev/null; then
		check machine ok '' 'a virtual machine'
	else
		check machine ok '' 'a machine of its own, or a VM that does not say so'
	fi
}

# find_cgroups sets
#   hierarchies  TYPE MOUNTPOINT OPTIONS,SUPEROPTIONS of each mounted hierarchy
#   v2           where cgroup2 is mounted
#   homes        CONTROLLER:VERSION:DIRECTORY of those we need
# mountinfo has a varying number of fields before the "-": proc_pid_mountinfo(5).
find_cgroups() {
	hierarchies=$(awk '{ for (i = 7; i < NF && $i != "-"; i++); t = $(i+1)
		if (t == "cgroup" || t == "cgroup2") print t, $5, $6 "," $(i+3) }' "$R/proc/self/mountinfo" 2>/dev/null)
	v2=$(echo "$hierarchies" | awk '$1 == "cgroup2" {print $2; exit}')
	homes=$(
		echo "$hierarchies" | awk '$1 == "cgroup" { n = split($3, o, ","); for (i = 1; i <= n; i++) print o[i] ":v1:" $2 }'
		[ -z "$v2" ] || for c in $(setting "$v2/cgroup.controllers"); do echo "$c:v2:$v2"; done
	)
	homes=$(echo "$homes" | grep -E '^(memory|cpu|cpuset|pids):')
}

home() { # CONTROLLER: VERSION:DIRECTORY, or nothing
	for h in $homes; do
		case $h in "$1":*) echo "${h#*:}" && return ;; esac
	done
}

# delegated: is a cgroup above us ours to make others in, with all controllers
# and no process in the way? systemd hands such out, see "Delegation" in
# cgroup-v2.rst.
delegated() {
	[ -n "$v2" ] || return 1
	dir=$v2$(sed -n 's/^0:://p' "$R/proc/self/cgroup" 2>/dev/null)
	while [ ${#dir} -gt ${#v2} ]; do
		if [ -w "$R$dir" ] && [ -w "$R$dir/cgroup.subtree_control" ] && [ -z "$(setting "$dir/cgroup.procs")" ]; then
			lacks=''
			for c in memory cpu cpuset pids; do
				grep -qw $c "$R$dir/cgroup.controllers" 2>/dev/null || lacks=yes
			done
			[ -n "$lacks" ] || return 0
		fi
		dir=${dir%/*}
	done
	return 1
}

# Root is uid 0 with CAP_SYS_ADMIN (bit 21, capabilities(7)) in the first user
# namespace, the one whose uid map is the whole range (user_namespaces(7)).
check_user() {
	user=plain
	uid=$(awk '$1 == "Uid:" {print $3}' "$R/proc/self/status" 2>/dev/null)
	caps=$(awk '$1 == "CapEff:" {print $2}' "$R/proc/self/status" 2>/dev/null)
	map=$(awk '{print $1, $2, $3; exit}' "$R/proc/self/uid_map" 2>/dev/null)
	if [ "${uid:-}" != 0 ] && delegated; then
		check user FAIL 3 "not root (uid $uid), but $dir is yours: days 1 and 2 run, mounting images needs root" \
			"sudo env \"PATH=\$PATH\" sh $0"
	elif [ "${uid:-}" != 0 ]; then
		check user FAIL 23 "not root (uid ${uid:-?}): only day 1 runs without; cgroups and mounts need root" \
			"sudo env \"PATH=\$PATH\" sh $0"
	elif [ $((0x${caps:-0} >> 21 & 1)) = 0 ]; then
		check user FAIL 123 'root without CAP_SYS_ADMIN: may neither mount nor make namespaces' \
			'use a VM, or start this container with --privileged'
	elif [ "${map:-0 0 4294967295}" != '0 0 4294967295' ]; then
		check user FAIL 23 'root of a user namespace only (rootless container?)' 'be root on the machine itself'
	else
		user=root
		check user ok '' root
	fi
}

check_namespaces() {
	missing=''
	for n in uts ipc pid mnt net user cgroup; do
		[ -e "$R/proc/self/ns/$n" ] || [ -L "$R/proc/self/ns/$n" ] || missing="$missing $n"
	done
	if [ -n "$missing" ]; then
		check namespaces FAIL 123 "this kernel lacks:$missing" "boot your distribution's own kernel"
	else
		check namespaces ok '' 'uts ipc pid mnt net user cgroup'
	fi
}

# Three switches turn user namespaces off: the first for everybody, the second and
# third for ordinary users only.
check_userns() {
	why='' fix=''
	if [ "$(setting /proc/sys/user/max_user_namespaces)" = 0 ]; then
		check userns FAIL 123 'switched off (user.max_user_namespaces = 0)' 'sudo sysctl -w user.max_user_namespaces=15000'
		return
	elif [ "$(setting /proc/sys/kernel/unprivileged_userns_clone)" = 0 ]; then
		why='kernel.unprivileged_userns_clone = 0'
		fix='sudo sysctl -w kernel.unprivileged_userns_clone=1'
	elif [ "$(setting /proc/sys/kernel/apparmor_restrict_unprivileged_userns)" = 1 ]; then
		why='AppArmor restricts them, as in Ubuntu 23.10 and later'
		fix='sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0'
	elif live && [ "${uid:-}" != 0 ] && have unshare; then
		why=$(bounded 10 unshare -U -r true 2>&1)
	fi
	if [ -z "$why" ]; then
		check userns ok '' 'user namespaces, also for plain users'
	elif [ "${uid:-}" = 0 ]; then
		check userns warn '' "closed to plain users ($why); root may use them" "$fix"
	else
		check userns FAIL 1 "closed to plain users: $why" "${fix:-run as root}"
	fi
}

check_cgroup() {
	v1=''
	for c in memory cpu cpuset pids; do
		case $(home $c) in v1:*) v1="$v1 $c" ;; esac
	done
	if [ -z "$hierarchies" ]; then
		if grep -qw cgroup2 "$R/proc/filesystems" 2>/dev/null; then
			fix='sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup'
		else
			fix="boot your distribution's own kernel: this one was built without"
		fi
		check cgroup FAIL 23 'no cgroup hierarchy is mounted' "$fix"
	elif [ -z "$v2" ]; then
		check cgroup ok '' 'v1 (a hierarchy for each controller)'
	elif [ -n "$v1" ]; then
		check cgroup ok '' "hybrid (v1 for$v1; v2 on $v2 beside it)"
	else
		check cgroup ok '' "v2 on $v2"
	fi
}

check_controllers() {
	[ -n "$hierarchies" ] || return 0
	missing='' enable='' busy='' without=''
	for c in memory cpu cpuset pids; do
		case $(home $c) in
		'') if [ $c = cpuset ]; then without=$c; else missing="$missing $c"; fi ;;
		v2:*)
			grep -qw $c "$R$v2/cgroup.subtree_control" 2>/dev/null || enable="$enable $c"
			;;
		esac
	done
	# A cgroup other than the machine's root (which has no cgroup.type) may not
	# hold processes and hand controllers on: "No Internal Process Constraint",
	# Documentation/admin-guide/cgroup-v2.rst. A container's topmost cgroup is like that.
	if [ -n "$enable" ] && [ -e "$R$v2/cgroup.type" ] && [ -n "$(setting "$v2/cgroup.procs")" ]; then
		busy=yes
	fi
	if [ -n "$missing" ]; then
		explain_missing
		check controllers FAIL 23 "not available:$missing$why" "$fix"
	elif [ -n "$busy" ]; then
		check controllers FAIL 23 "cannot be enabled:$enable (processes sit in $v2 itself)" \
			"move them: mkdir $v2/init; for p in \$(cat $v2/cgroup.procs); do echo \$p >$v2/init/cgroup.procs; done"
	elif [ -n "$without" ]; then
		missing=" $without"
		explain_missing
		check controllers warn '' "memory cpu pids, but not cpuset$why: all works except --cpuset-cpus" "$fix"
	elif [ -n "$enable" ]; then
		check controllers ok '' "memory cpu cpuset pids (to be enabled on first use:$enable)"
	else
		check controllers ok '' 'memory cpu cpuset pids'
	fi
}

explain_missing() { # sets why and fix
	why='' fix="boot your distribution's own kernel"
	first=${missing# }
	first=${first%% *}
	case "$missing " in
	*' memory '*)
		if grep -q 'cgroup_disable=[a-z,]*memory' "$R/proc/cmdline" 2>/dev/null; then
			why=' (cgroup_disable=memory on the kernel command line)'
			if grep -qi raspberry "$R/proc/device-tree/model" 2>/dev/null; then
				fix='append cgroup_enable=memory to the one line of /boot/firmware/cmdline.txt (or /boot/cmdline.txt), reboot'
			else
				case $distro in
				*fedora* | *rhel*) fix='sudo grubby --update-kernel=ALL --remove-args=cgroup_disable=memory; sudo reboot' ;;
				*) fix='remove it from GRUB_CMDLINE_LINUX in /etc/default/grub; sudo update-grub; sudo reboot' ;;
				esac
			fi
			return
		fi
		;;
	esac
	# v1: compiled in and not mounted, the second field (hierarchy) is 0
	if [ -z "$v2" ] && awk -v c="$first" '$1 == c && $2 == 0 && $4 == 1 {f = 1} END {exit !f}' "$R/proc/cgroups" 2>/dev/null; then
		why=' (not mounted)'
		fix="sudo mkdir -p /sys/fs/cgroup/$first; sudo mount -t cgroup -o $first $first /sys/fs/cgroup/$first"
	fi
}

# Ask the mount and access(2): containers get a read-only cgroupfs.
check_cgroupfs() {
	[ -n "$homes" ] || return 0
	readonly='' closed=''
	for d in $(echo "$homes" | cut -d: -f3 | sort -u); do
		case $(echo "$hierarchies" | awk -v d="$d" '$2 == d {print "," $3 ","; exit}') in
		*,ro,*) readonly="$readonly $d" ;;
		*) [ -w "$R$d" ] || closed="$closed $d" ;;
		esac
	done
	if [ -n "$readonly" ]; then
		check cgroupfs FAIL 23 "read-only:$readonly" "sudo mount -o remount,rw${readonly} (in a container: start it with --privileged)"
	elif [ -z "$closed" ]; then
		check cgroupfs ok '' writable
	elif as_root; then
		check cgroupfs FAIL 23 "not writable:$closed" 'a security module forbids it: look at dmesg'
	else
		check cgroupfs warn '' 'not writable for you; root was not tried'
	fi
}

# With swap, memory.max alone does not hold a program: it swaps and lives on.
# v1 counts swap in memory.memsw.*, v2 in memory.swap.*, which the root cgroup
# does not have: look into any of its children.
check_swap() {
	size=$(awk '$1 == "SwapTotal:" {print int($2 / 1024)}' "$R/proc/meminfo" 2>/dev/null)
	if [ "${size:-0}" = 0 ]; then
		check swap ok '' 'none: a memory limit is a hard one'
		return
	fi
	accounted='' h=$(home memory)
	for f in "$R${h#*:}/memory.memsw.limit_in_bytes" "$R${h#*:}"/*/memory.swap.max; do
		[ ! -e "$f" ] || accounted=yes
	done
	if [ -n "$accounted" ]; then
		check swap ok '' "$size MiB, accounted for"
	else
		check swap warn '' "$size MiB, not accounted for: a program over its memory limit swaps instead of dying" \
			'sudo swapoff -a (until reboot), or boot with swapaccount=1'
	fi
}

# The nearest directory above the store that exists: its file system is the one
# that day 3 will use.
store_parent() {
	d=$STORE
	while [ ! -d "$d" ]; do d=$(dirname "$d"); done
	echo "$d"
}

check_overlay() {
	known=''
	if grep -qw overlay "$R/proc/filesystems" 2>/dev/null; then
		known=yes
	fi
	if ! live || ! as_root || ! have unshare; then
		if [ -n "$known" ] || { live && modprobe -n -q overlay 2>/dev/null; }; then
			check overlay ok '' 'in the kernel; a mount was not tried (needs root and unshare)'
		else
			check overlay FAIL 3 'not in /proc/filesystems' 'sudo modprobe overlay'
		fi
		return
	fi
	d=$(mktemp -d "$(store_parent)/go-docker-doctor.XXXXXX" 2>/dev/null) || {
		check overlay FAIL 3 "cannot write to $(store_parent)" 'set GO_DOCKER_ROOT to a directory on a writable disk'
		return
	}
	scratch="$scratch $d"
	mkdir "$d/lower" "$d/upper" "$d/work" "$d/merged"
	echo lower >"$d/lower/file"
	# shellcheck disable=SC2016 # $1 belongs to the inner shell
	said=$(privately 'cd "$1" && mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged && echo upper >merged/file' "$d")
	if [ "$(cat "$d/lower/file" "$d/upper/file" 2>/dev/null | tr '\n' ' ')" = 'lower upper ' ]; then
		check overlay ok '' "mounted and written to, below $(store_parent)"
	else
		fix='sudo modprobe overlay'
		[ -z "$known" ] || fix='set GO_DOCKER_ROOT to a directory on ext4 or xfs (not overlay, NFS or a Windows drive)'
		check overlay FAIL 3 "cannot mount one below $(store_parent): $(brief "$said")" "$fix"
	fi
	# the mount has loaded the module: unload it again
	[ -n "$known" ] || rmmod overlay 2>/dev/null || true
}

brief() { printf %s "$1" | tail -n 1 | cut -c 1-100; }

# pivot_root(2) refuses (EINVAL) to move a root that has no parent mount, as the
# rootfs of an initramfs, and one that is no mount point, as in a chroot.
check_pivot_root() {
	root=$(awk '$5 == "/" {r = ($1 == $2) ? "rootfs" : "mount"} END {print r}' "$R/proc/self/mountinfo" 2>/dev/null)
	fix='boot from a disk, or let the initramfs hand over with switch_root; in a chroot: leave it'
	if live && as_root && have unshare && have pivot_root; then
		d=$(mktemp -d "${TMPDIR:-/tmp}/go-docker-doctor.XXXXXX" 2>/dev/null) || return 0 # check_go tells
		scratch="$scratch $d"
		# shellcheck disable=SC2016 # $1 belongs to the inner shell
		if said=$(privately 'mount --bind "$1" "$1" && cd "$1" && pivot_root . .' "$d"); then
			check pivot_root ok '' 'tried, works'
		else
			check pivot_root FAIL 3 "$(brief "$said")" "$fix"
		fi
	elif [ "$root" = mount ]; then
		check pivot_root ok '' 'the root is a mount with a parent; not tried (needs root)'
	elif [ "$root" = rootfs ]; then
		check pivot_root FAIL 3 '/ is the rootfs of an initramfs' "$fix"
	else
		check pivot_root FAIL 3 '/ is not a mount point (chroot?)' "$fix"
	fi
}

# Links and rules need a dozen modules, which the kernel loads when it is asked. Asked
# in a network namespace: what is made there goes with it.
check_network() {
	live && as_root && have unshare && have ip && have nft || return 0
	if said=$(bounded 20 unshare -n sh -c 'ip link add gd-doctor type bridge && ip link add gd-doctor0 type veth && nft "
		add table inet doctor
		add chain inet doctor out { type nat hook postrouting priority 100; }
		add rule inet doctor out masquerade
		add chain inet doctor in { type nat hook prerouting priority -100; }
		add rule inet doctor in fib daddr type local dnat ip to 10.0.0.2
		add table bridge doctor"' 2>&1); then
		check network ok '' 'a bridge, a veth pair, NAT in nft: tried, works'
	else
		check network FAIL 5 "$(brief "$(printf %s "$said" | head -n 1)")" "boot your distribution's own kernel, with its modules: bridge, veth, nf_tables, nft_nat, nft_masq, nft_fib_inet"
	fi
}

# go_command SECONDS [VARIABLE=VALUE...] go ...: the go command keeps counters
# and a cache for itself; here both go to our directory.
go_command() {
	limit=$1
	shift
	bounded "$limit" env GOENV="${GOENV:-${XDG_CONFIG_HOME:-${HOME:-/root}/.config}/go/env}" \
		GOTOOLCHAIN=local GOCACHE="$gotmp/cache" XDG_CONFIG_HOME="$gotmp" "$@"
}

check_go() {
	go_usable=''
	gotmp=$(mktemp -d "${TMPDIR:-/tmp}/go-docker-doctor.XXXXXX" 2>/dev/null) || {
		check go FAIL 123 "cannot write to ${TMPDIR:-/tmp}" 'free some space there, or set TMPDIR'
		return
	}
	scratch="$scratch $gotmp"
	mkdir -p "$gotmp/go/telemetry" && echo off >"$gotmp/go/telemetry/mode"

	fix="sudo $REPO/scripts/vm/provision.sh (no network: --offline BUNDLE); or unpack https://go.dev/dl/'s archive into /usr/local"
	if ! have go; then
		for g in /usr/local/go/bin/go /usr/lib/go/bin/go /usr/lib/go-1.*/bin/go /snap/bin/go /home/"${SUDO_USER:-nobody}"/sdk/go*/bin/go; do
			[ -x "$R$g" ] || continue
			g=${g%/go}
			check go FAIL 123 "installed in $g, which is not in PATH (sudo sets its own: secure_path in sudoers(5))" \
				"sudo env \"PATH=\$PATH:$g\" sh $0, and likewise before go run"
			return
		done
		check go FAIL 123 'not installed' "$fix"
		return
	fi
	version=$(cd / && go_command 20 go version 2>&1)
	number=${version#*go version go}
	number=${number%% *}
	go_minor=${number#1.}
	go_minor=${go_minor%%[!0-9]*}
	case $version in
	*'go version go1.'[0-9]*)
		if [ "$go_minor" -ge $GO_WANTED ]; then
			go_usable=yes
			check go ok '' "$number ($(command -v go))"
		else
			check go FAIL 123 "$number ($(command -v go)) is older than 1.$GO_WANTED" "$fix"
		fi
		;;
	*'go version devel'*)
		go_usable=yes
		check go warn '' "$(brief "$version"): a development version"
		;;
	*) check go FAIL 123 "$(command -v go) does not work: $(brief "$version")" "$fix" ;;
	esac
}

# Are the modules that each chapter imports here? If not, does a proxy answer?
check_modules() {
	[ -n "$go_usable" ] || return 0
	days='' said=''
	for dir in "$REPO"/day[0-9]-*; do
		[ -e "$dir/go.mod" ] || continue
		day=${dir##*/day}
		out=$(cd "$REPO" && go_command 60 GOPROXY=off GOFLAGS=-mod=readonly go list -deps "./${dir##*/}" 2>&1 >/dev/null) && continue
		days="$days ${day%%-*}"
		said=$(printf %s "$out" | head -n 1)
	done
	if [ -z "$days" ]; then
		check modules ok '' 'all in the module cache: the network is not needed'
	elif (cd / && go_command 15 GOFLAGS=-mod=mod GOPATH="$gotmp" GOMODCACHE="$gotmp/mod" go list -m "golang.org/x/sys@$(sed -n 's/.*golang.org\/x\/sys //p' "$REPO/day1-namespaces/go.mod")") >/dev/null 2>&1; then
		check modules warn '' "not all here for day$days, but a module proxy answers" "while there is a network: go mod download"
	else
		fix='with a network: go mod download; without: export GOPROXY=file:///PATH/cache/download (a copied cache)'
		[ -z "${SUDO_USER:-}" ] || fix="sudo looks in root's cache, yours may have them: sudo env GOMODCACHE=\$(go env GOMODCACHE) ...; $fix"
		check modules FAIL "$days" "missing for day$days, no module proxy answers: $(printf %s "$said" | cut -c 1-100)" "$fix"
	fi
}

# free_in DIRECTORY: MiB. Asked of statfs(2), which df hides; it needs no mount
# table, and says 0 of 0 for a file system that is as large as the memory.
free_in() {
	stat -f -c '%a %b %S' "$1" 2>/dev/null | awk '$2 > 0 {print int($1 * $3 / 1048576)}'
}

check_room() {
	disk=$(free_in "$(store_parent)")
	temp=$(free_in "${TMPDIR:-/tmp}")
	memory=$(awk '$1 == "MemAvailable:" {print int($2 / 1024)}' "$R/proc/meminfo" 2>/dev/null)
	room="disk ${disk:-?} MiB, ${TMPDIR:-/tmp} ${temp:-?} MiB, memory ${memory:-?} MiB free"
	disk=${disk:-$memory} temp=${temp:-$memory} memory=${memory:-0}
	least=${disk:-0}
	[ "${temp:-0}" -ge "$least" ] || least=${temp:-0}
	if [ "$least" -lt 300 ] || [ "$memory" -lt 256 ]; then
		check room FAIL 123 "$room: building needs 300 of disk and 256 of memory" 'delete files, end programs, or give the VM more'
	elif [ "$least" -lt 1024 ] || [ "$memory" -lt 512 ]; then
		check room warn '' "$room: tight" 'delete files, end programs, or give the VM more'
	else
		check room ok '' "$room"
	fi
}

# Only the shell steps and the comparisons in the text use these.
check_tools() {
	there='' needed='' wished=''
	for t in unshare ip flock nft; do
		if have $t; then there="$there $t"; else needed="$needed $t"; fi
	done
	for t in busybox stress runc crun; do
		if have $t; then there="$there $t"; else wished="$wished $t"; fi
	done
	if [ -n "$needed" ]; then
		check tools warn '' "the shell steps and scripts want:$needed" "$(install 'util-linux iproute2 nftables' 'util-linux iproute nftables')"
	else
		check tools ok '' "${there# }${wished:+; nice to have:$wished}"
	fi
}

check_system
check_kernel
check_machine
find_cgroups
check_user
check_namespaces
check_userns
check_cgroup
check_controllers
check_cgroupfs
check_swap
check_overlay
check_pivot_root
check_network
check_go
check_modules
check_room
check_tools
finish
