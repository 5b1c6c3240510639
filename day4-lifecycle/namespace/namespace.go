// Package namespace knows the kinds of namespaces, namespaces(7), and what a
// new one needs before it is useful. It grew from rung 08-new-names, adds a
// loopback device that is up, and says why a kernel refuses one.
package namespace

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// All has the clone(2) flags of every kind that a container gets. Time is left
// out because it does not make a process see another machine, and from day 3 on
// user, because only root in the initial user namespace may make device nodes
// and set overlayfs's trusted attributes.
const All = unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP

// Explain adds to a clone(2) error what its number does not say.
func Explain(err error) error {
	switch {
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: this kernel lacks a kind of namespace: ls /proc/self/ns", err)
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
