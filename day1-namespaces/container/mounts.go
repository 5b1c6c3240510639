package container

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// makeMountsPrivate cuts our copy of the mount tree off from the host's. A new
// mount namespace starts as a copy in which shared mounts stay shared, and
// systemd makes every mount shared; without this, our /proc would also appear
// on the host, on top of its own. mount_namespaces(7)
func makeMountsPrivate() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mount tree private: %w", err)
	}
	return nil
}

// mountProc mounts the new PID namespace's /proc over the host's, which would
// still show the host's processes. proc(5)
func mountProc() error {
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount proc on /proc: %w", err)
	}
	return nil
}
