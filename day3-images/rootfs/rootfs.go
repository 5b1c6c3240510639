// Package rootfs gives a container its root: the overlay of the image's layers,
// /proc and /sys, /dev, files and volumes of the host, and pivot_root(2) into
// all that.
//
// It grew from rungs 07-overlay and 06-pivot, and adds a stack of any number of
// layers, mounts by descriptor in a tree that cannot be trusted (mountfd),
// volumes, and the container's cgroups.
//
// All of it happens in init, in a mount namespace of its own, so no mount on
// the host changes.
package rootfs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"example.com/go-docker/day3-images/confine"
	"example.com/go-docker/day3-images/mountfd"
	"golang.org/x/sys/unix"
)

// A Root describes the file system that the container gets instead of the
// host's. It is sent to init as JSON. Paths are absolute: sources on the host,
// targets in the container.
type Root struct {
	Overlay      Overlay
	Files        map[string]string // source of each target: a file on the host, such as for /etc/hosts
	Volumes      []Volume          // in the order of mounting, /a before /a/b
	ImageVolumes []ImageVolume     // in the same order
	Cgroups      Cgroups
	ShmSize      int64  // of /dev/shm, in bytes; 0: 64 MiB
	Workdir      string // entered last; made if it is missing, as in Docker
	ReadOnly     bool   // only the overlay: volumes and /dev stay writable
	Console      string // the container's terminal on the host, like /dev/pts/7; "": none
}

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

// Enter makes the root and moves this process into its working directory, step
// by step. None of it shows on the host, because the mount tree is already
// private (see MakeMountsPrivate). If it returns an error, the command must not
// run, because this process may still be in the host's root.
func (r *Root) Enter() error {
	if err := r.Overlay.Mount(); err != nil {
		return err
	}
	tree, err := mountfd.OpenTree(r.Overlay.Merged)
	if err != nil {
		return err
	}
	defer tree.Close()
	if err := r.Overlay.checkWritable(tree.File); err != nil {
		return err
	}
	steps := []func(mountfd.Tree) error{
		r.openImageVolumes, mountKernel, confine.MaskPaths, r.mountCgroups, r.mountDev,
		r.mountFiles, r.mountImageVolumes, r.mountVolumes, r.ensureWorkdir, pivot,
	}
	for _, step := range steps {
		if err := step(tree); err != nil {
			return err
		}
	}
	if r.ReadOnly {
		if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	return EnterWorkdir(r.Workdir)
}

// mountKernel mounts /proc and /sys, the file systems through which the kernel
// shows itself.
func mountKernel(tree mountfd.Tree) error {
	if err := tree.MountNew("/proc", "proc", mountfd.Harmless); err != nil {
		return err
	}
	return tree.MountNew("/sys", "sysfs", mountfd.Harmless|unix.MOUNT_ATTR_RDONLY)
}

// pivot makes tree the root of the mount namespace and detaches the old root.
// chroot(2) only changes where path lookup starts, and root can get out of it
// again; after pivot_root(2) there is nothing left to get out to. The old root
// ends up on top of the new one, at ".", and is detached there.
func pivot(tree mountfd.Tree) error {
	if err := unix.Fchdir(int(tree.Fd())); err != nil {
		return fmt.Errorf("change to the new root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		if errors.Is(err, unix.EINVAL) {
			err = errors.New("invalid argument: the current root cannot be left, as on an initramfs: switch_root first")
		}
		return fmt.Errorf("pivot_root to %s: %w", tree.Name(), err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the old root: %w", err)
	}
	return os.Chdir("/")
}

// mountFiles mounts single files of the host in the container.
func (r *Root) mountFiles(tree mountfd.Tree) error {
	for target, source := range r.Files {
		if err := tree.Bind(source, target, 0); err != nil {
			return err
		}
	}
	return nil
}

// ensureWorkdir makes the working directory, as Docker does.
func (r *Root) ensureWorkdir(tree mountfd.Tree) error {
	workdir, err := tree.Ensure(r.Workdir, true)
	if err != nil {
		return fmt.Errorf("make the working directory: %w", err)
	}
	return workdir.Close()
}

// EnterWorkdir changes to a directory of the container from inside it. Getwd
// proves that it is in the container: a directory of the host, reached through
// a descriptor in /proc, would have no path here (CVE-2024-21626).
func EnterWorkdir(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("change to the working directory: %w", err)
	}
	if _, err := syscall.Getwd(); err != nil {
		return fmt.Errorf("the working directory %s is outside the container: %w", dir, err)
	}
	return nil
}
