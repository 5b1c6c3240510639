package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"example.com/go-docker/day5-networks/inroot"
	"example.com/go-docker/day5-networks/mountfd"
	"golang.org/x/sys/unix"
)

// maskedPaths and readOnlyPaths are Docker's lists: parts of /proc and /sys
// that no namespace covers, so that they would show or change the host.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readOnlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// MaskPaths hides what must not be read and makes read-only what must not be
// written. It takes /dev/null from the host, not from the container
// (CVE-2025-31133).
func MaskPaths(tree mountfd.Tree) error {
	for _, name := range maskedPaths {
		at, err := tree.Open(name, unix.RESOLVE_NO_SYMLINKS)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = mask(at)
		at.Close()
		if err != nil {
			return fmt.Errorf("mask %s: %w", name, err)
		}
	}
	for _, name := range readOnlyPaths {
		if err := makeReadOnly(tree, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make %s read-only: %w", name, err)
		}
	}
	return nil
}

// mask mounts an empty directory on a directory, and /dev/null on a file.
func mask(at *os.File) error {
	info, err := at.Stat()
	if err != nil {
		return err
	}
	var mount *os.File
	if info.IsDir() {
		mount, err = mountfd.New("tmpfs", mountfd.Harmless|unix.MOUNT_ATTR_RDONLY, "size=0", "nr_inodes=1")
	} else {
		mount, err = mountfd.Clone("/dev/null")
	}
	if err != nil {
		return err
	}
	defer mount.Close()
	return mountfd.Attach(mount, at)
}

// makeReadOnly mounts a path on itself, because only a mount can be read-only.
func makeReadOnly(tree mountfd.Tree, name string) error {
	at, err := tree.Open(name, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer at.Close()
	mount, err := mountfd.Clone(inroot.FdPath(int(at.Fd())))
	if err != nil {
		return err
	}
	defer mount.Close()
	if err := mountfd.SetAttributes(mount, unix.MOUNT_ATTR_RDONLY|mountfd.Harmless); err != nil {
		return err
	}
	return mountfd.Attach(mount, at)
}
