package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// MakeMountsPrivate cuts our copy of the mount tree off from the host's. A new
// mount namespace starts as a copy in which shared mounts stay shared, and
// systemd makes every mount shared; without this, our /proc would also appear
// on the host, on top of its own. mount_namespaces(7)
func MakeMountsPrivate() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mount tree private: %w", err)
	}
	return nil
}
