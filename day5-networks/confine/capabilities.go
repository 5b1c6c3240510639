// Package confine limits what a container's command may do, and sets the user
// it runs as: masks over parts of /proc and /sys, capabilities, resource
// limits, the user.
package confine

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// kept lists the capabilities that Docker leaves to root in a container, except
// CAP_MKNOD, with which root could make a device node for the host's disk.
// Docker allows that, but prevents opening the node with the devices cgroup or
// BPF.
var kept = map[int]bool{
	unix.CAP_AUDIT_WRITE: true, unix.CAP_CHOWN: true, unix.CAP_DAC_OVERRIDE: true, unix.CAP_FOWNER: true,
	unix.CAP_FSETID: true, unix.CAP_KILL: true, unix.CAP_NET_BIND_SERVICE: true, unix.CAP_NET_RAW: true,
	unix.CAP_SETFCAP: true, unix.CAP_SETGID: true, unix.CAP_SETPCAP: true,
	unix.CAP_SETUID: true, unix.CAP_SYS_CHROOT: true,
}

// DropCapabilities removes all others from this thread's bounding set, which
// limits what exec can grant. So the command that this thread starts has only
// the kept ones and can never get more, while we keep ours: we still need them,
// and a process with fewer capabilities may not inspect one with more, not even
// read /proc/1/exe. capabilities(7), ptrace(2)
func DropCapabilities() error {
	for capability := 0; capability <= unix.CAP_LAST_CAP; capability++ {
		if kept[capability] {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0)
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: this kernel does not have it
			return fmt.Errorf("drop capability %d: %w", capability, err)
		}
	}
	// Inheritable capabilities would come back on exec.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read our capabilities: %w", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("clear the inheritable capabilities: %w", err)
	}
	return nil
}
