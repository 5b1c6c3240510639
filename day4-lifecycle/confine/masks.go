package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"example.com/go-docker/day4-lifecycle/inroot"
	"example.com/go-docker/day4-lifecycle/mountfd"
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
// written.
func MaskPaths(tree mountfd.Tree) error {
	for _, name := range maskedPaths {
		if err := cover(tree, name, nothing); err != nil {
			return fmt.Errorf("mask %s: %w", name, err)
		}
	}
	for _, name := range readOnlyPaths {
		if err := cover(tree, name, readOnly); err != nil {
			return fmt.Errorf("make %s read-only: %w", name, err)
		}
	}
	return nil
}

// cover mounts what makeMount returns on a path, if this kernel has that path.
func cover(tree mountfd.Tree, name string, makeMount func(at *os.File) (*os.File, error)) error {
	at, err := tree.Open(name, unix.RESOLVE_NO_SYMLINKS)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer at.Close()
	mount, err := makeMount(at)
	if err != nil {
		return err
	}
	defer mount.Close()
	return mountfd.Attach(mount, at)
}

// nothing makes an empty directory to cover a directory, and takes /dev/null for
// a file: the host's, not the container's (CVE-2025-31133).
func nothing(at *os.File) (*os.File, error) {
	info, err := at.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return mountfd.New("tmpfs", mountfd.Harmless|unix.MOUNT_ATTR_RDONLY, "size=0", "nr_inodes=1")
	}
	return mountfd.Clone("/dev/null", 0)
}

// readOnly covers a path with itself, because only a mount can be read-only.
func readOnly(at *os.File) (*os.File, error) {
	return mountfd.Clone(inroot.FdPath(int(at.Fd())), unix.MOUNT_ATTR_RDONLY|mountfd.Harmless)
}
