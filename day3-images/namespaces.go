package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// A namespace is one of the kernel's kinds, namespaces(7): its name, which is
// our flag, its file under /proc/self/ns, and its flag for clone(2).
type namespace struct {
	name, file string
	flag       uintptr
	usage      string
}

// The user namespace is left out from this chapter on: only root of the initial
// one may make device nodes and the overlay's trusted attributes.
var namespaces = []namespace{
	{"uts", "uts", unix.CLONE_NEWUTS, "host name"},
	{"ipc", "ipc", unix.CLONE_NEWIPC, "System V IPC and POSIX message queues"},
	{"pid", "pid", unix.CLONE_NEWPID, "process ids"},
	{"mount", "mnt", unix.CLONE_NEWNS, "mount points"},
	{"net", "net", unix.CLONE_NEWNET, "network devices, addresses, ports"},
	{"cgroup", "cgroup", unix.CLONE_NEWCGROUP, "the root of the cgroups it sees"},
}

func namespaceFlags() []cli.Flag {
	var flags []cli.Flag
	for _, ns := range namespaces {
		flags = append(flags, &cli.BoolFlag{Name: ns.name, Usage: "new " + ns.name + " namespace: " + ns.usage, DisableDefaultText: true})
	}
	return flags
}

// namespacesFromFlags returns the clone(2) flags of the namespaces that were
// named, or of all that this kernel has when none was.
func namespacesFromFlags(ctx *cli.Context) (uintptr, error) {
	var named uintptr
	for _, ns := range namespaces {
		if !ctx.Bool(ns.name) {
			continue
		}
		if !ns.supported() {
			return 0, fmt.Errorf("--%s: this kernel has no %s namespaces (no /proc/self/ns/%s)", ns.name, ns.name, ns.file)
		}
		named |= ns.flag
	}
	if named == 0 {
		named = allNamespaces()
	}
	// Only root may make the others; but root of a new user namespace is root
	// enough, and anybody may make one of those. user_namespaces(7)
	if os.Geteuid() != 0 {
		named |= unix.CLONE_NEWUSER
	}
	return named, nil
}

func allNamespaces() uintptr {
	var all uintptr
	for _, ns := range namespaces {
		if ns.supported() {
			all |= ns.flag
		}
	}
	return all
}

func (ns namespace) supported() bool {
	_, err := os.Stat("/proc/self/ns/" + ns.file)
	return err == nil
}

// idMappings says who is who in a new user namespace. A plain user may map
// just one id, its own: it becomes root inside. Root maps every id it has to
// itself, so files keep their owners and only the capabilities change: they
// count for the container's namespaces and no longer for the host's.
func idMappings(file string, own int) ([]syscall.SysProcIDMap, error) {
	if os.Geteuid() != 0 {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: own, Size: 1}}, nil
	}
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

// explainClone adds what the user can do to the errors clone(2) gives when the
// machine does not allow new namespaces.
func explainClone(err error) error {
	why := ""
	switch {
	case sysctl("/proc/sys/user/max_user_namespaces") == "0":
		why = "user namespaces are switched off: sysctl user.max_user_namespaces=15000"
	case errors.Is(err, unix.ENOSPC):
		why = "a limit in /proc/sys/user is reached, or namespaces are nested too deep"
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES):
	case os.Geteuid() == 0:
		why = "root here lacks CAP_SYS_ADMIN, as in an unprivileged container or a chroot"
	case sysctl("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		why = "this kernel lets only root make user namespaces: sysctl kernel.unprivileged_userns_clone=1, or run as root"
	case sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		why = "AppArmor restricts user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root"
	default:
		why = "run as root"
	}
	if why == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, why)
}

func sysctl(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
