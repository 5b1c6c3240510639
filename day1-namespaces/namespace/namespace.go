// Package namespace knows the kinds of namespaces, namespaces(7), and what a
// new one needs before it is useful. It grew from rungs 08-new-names and
// 10-no-root, adds root's id maps and a loopback device that is up, and copes
// with kernels that lack a kind or refuse it.
package namespace

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Kind is a kind of namespace: its name, which is also our flag, its file in
// /proc/self/ns, its clone(2) flag, and what is new in a new one.
type Kind struct {
	Name, File string
	Flag       uintptr
	Holds      string
}

// Kinds lists every kind that Linux has except time, which day 1 leaves out
// because it does not make a process see another machine.
var Kinds = []Kind{
	{"uts", "uts", unix.CLONE_NEWUTS, "host name"},
	{"ipc", "ipc", unix.CLONE_NEWIPC, "System V IPC and POSIX message queues"},
	{"pid", "pid", unix.CLONE_NEWPID, "process ids"},
	{"mount", "mnt", unix.CLONE_NEWNS, "mount points"},
	{"net", "net", unix.CLONE_NEWNET, "network devices, addresses, ports"},
	{"user", "user", unix.CLONE_NEWUSER, "user ids and capabilities"},
	{"cgroup", "cgroup", unix.CLONE_NEWCGROUP, "the root of the cgroups it sees"},
}

// Supported reports whether this kernel has the kind.
func (k Kind) Supported() bool {
	_, err := os.Stat("/proc/self/ns/" + k.File)
	return err == nil
}

// All returns the clone(2) flags of all kinds that this kernel has.
func All() uintptr {
	var all uintptr
	for _, k := range Kinds {
		if k.Supported() {
			all |= k.Flag
		}
	}
	return all
}

// IDMaps returns the id maps of a new user namespace. A plain user may map just
// one id, its own, which becomes root inside. Root maps every id it has to
// itself: files keep their owners and only the capabilities change, which apply
// to the container's namespaces and no longer to the host's. user_namespaces(7)
func IDMaps() (users, groups []syscall.SysProcIDMap, err error) {
	if os.Geteuid() != 0 {
		own := func(id int) []syscall.SysProcIDMap {
			return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
		}
		return own(os.Geteuid()), own(os.Getegid()), nil
	}
	users, err1 := identityMap("/proc/self/uid_map")
	groups, err2 := identityMap("/proc/self/gid_map")
	return users, groups, errors.Join(err1, err2)
}

// SetgroupsAllowed reports whether setgroups(2) can be allowed in a new user
// namespace. The kernel refuses it for a plain user, and below a namespace that
// denies it, because dropping a group may give access to a file that denies
// that group. user_namespaces(7), "The /proc/pid/setgroups file"
func SetgroupsAllowed() bool {
	text, err := os.ReadFile("/proc/self/setgroups")
	return os.Geteuid() == 0 && err == nil && strings.TrimSpace(string(text)) == "allow"
}

func identityMap(file string) ([]syscall.SysProcIDMap, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var maps []syscall.SysProcIDMap
	for line := range strings.Lines(string(text)) {
		var inside, outside, size int
		if _, err := fmt.Sscan(line, &inside, &outside, &size); err != nil {
			return nil, fmt.Errorf("read %s: %q: %w", file, line, err)
		}
		maps = append(maps, syscall.SysProcIDMap{ContainerID: inside, HostID: inside, Size: size})
	}
	return maps, nil
}

// Explain adds to a clone(2) error what its number does not say.
func Explain(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w: namespaces are nested too deep, or a limit in /proc/sys/user is reached (0: switched off): sysctl user", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: this machine does not let us make namespaces: scripts/doctor.sh says why", err)
	}
	return err
}

// LoopbackUp brings lo up. A new network namespace has only lo, and it is down:
// not even 127.0.0.1 answers. netdevice(7)
func LoopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket to set lo up: %w", err)
	}
	defer unix.Close(socket)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
