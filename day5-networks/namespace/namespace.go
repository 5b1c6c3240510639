// Package namespace knows the kinds of namespaces, namespaces(7), and what a
// new one needs before it is useful. It grew from rung 08-new-names, adds a
// loopback device that is up, and copes with kernels that lack a kind or refuse
// it.
package namespace

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// kinds has the clone(2) flag of every kind that a container gets, by its file
// in /proc/self/ns. Time is left out because it does not make a process see
// another machine, and from this chapter on user, because only root in the
// initial user namespace may make device nodes and set overlayfs's trusted
// attributes.
var kinds = map[string]uintptr{
	"uts":    unix.CLONE_NEWUTS,
	"ipc":    unix.CLONE_NEWIPC,
	"pid":    unix.CLONE_NEWPID,
	"mnt":    unix.CLONE_NEWNS,
	"net":    unix.CLONE_NEWNET,
	"cgroup": unix.CLONE_NEWCGROUP,
}

// All returns the clone(2) flags of all kinds that this kernel has.
func All() (flags uintptr) {
	for file, flag := range kinds {
		if _, err := os.Stat("/proc/self/ns/" + file); err == nil {
			flags |= flag
		}
	}
	return flags
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
