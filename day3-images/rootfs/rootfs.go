// Package rootfs gives a container its root: the overlay of the image's layers,
// the file systems in which the kernel shows itself, /dev, files and volumes of
// the host, and pivot_root(2) into all that.
//
// It grew from the steps 07-overlay and 06-pivot. To them it adds: mounts by
// descriptor in a tree that is not to be trusted (mountfd.go, rootdir.go), a
// stack of any number of layers, masks, volumes.
//
// All of it happens in init, in a mount namespace of its own, and changes no
// mount of the host.
package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A Root describes what the container has instead of the host's file system.
// Init gets it as JSON. Paths are absolute: sources are the host's, targets the
// container's.
type Root struct {
	Overlay      Overlay
	Files        map[string]string // target: source, a file of the host, as for /etc/hosts
	Volumes      []Volume          // in the order in which they are mounted, /a before /a/b
	ImageVolumes []ImageVolume     // the same
	Workdir      string            // made if it is not there, as Docker does
	ReadOnly     bool              // the overlay only: volumes and /dev stay writable
	Console      string            // the container's terminal on the host, like /dev/pts/7; "": none
}

// Enter makes the root and moves this process into it: a recipe. Nothing of it
// shows on the host, because the mount tree is private already, see
// MakeMountsPrivate. When it returns an error, the command must not run: this
// process may still be in the host's root.
func (r *Root) Enter() error {
	if err := r.Overlay.Mount(); err != nil {
		return err
	}
	dir, err := openRoot(r.Overlay.Merged)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := r.Overlay.checkWritable(dir.File); err != nil {
		return err
	}
	steps := []func(rootDir) error{
		r.openImageVolumes, mountKernel, mountDev, r.mountConsole, maskProc, r.mountFiles, r.mountImageVolumes, r.mountVolumes, r.ensureWorkdir, pivot,
	}
	for _, step := range steps {
		if err := step(dir); err != nil {
			return err
		}
	}
	if r.ReadOnly {
		if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	return nil
}

const harmless = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// mountKernel mounts the file systems in which the kernel shows itself.
func mountKernel(dir rootDir) error {
	if err := mountNew(dir, "/proc", "proc", harmless); err != nil {
		return err
	}
	return mountNew(dir, "/sys", "sysfs", harmless|unix.MOUNT_ATTR_RDONLY)
}

// mountNew mounts a new file system on a directory, which it makes if the image
// leaves it out. No part of target may be a symbolic link: programs that look
// for /proc would be led elsewhere (CVE-2019-19921).
func mountNew(dir rootDir, target, fsType string, attributes int, options ...string) error {
	if err := unix.Mkdirat(int(dir.Fd()), target[1:], 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return &fs.PathError{Op: "make in the container", Path: target, Err: err}
	}
	at, err := dir.open(target+"/.", unix.RESOLVE_NO_SYMLINKS) // /. of nothing but a directory
	if errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("the image's %s is a symbolic link: refused", target)
	}
	if err != nil {
		return err
	}
	defer at.Close()
	mount, err := newMount(fsType, attributes, options...)
	if err != nil {
		return err
	}
	defer mount.Close()
	return attach(mount, at)
}

// pivot makes dir the root of the mount namespace and lets go of the old one.
// chroot(2) only changes where path look-up starts, and whoever is root gets
// out of it again; after pivot_root(2) there is nothing left to get out to. The
// old root lands on top of the new one, at ".", and is detached from there.
func pivot(dir rootDir) error {
	if err := unix.Fchdir(int(dir.Fd())); err != nil {
		return fmt.Errorf("change to the new root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		if errors.Is(err, unix.EINVAL) {
			err = errors.New("invalid argument: the current root cannot be left, as on an initramfs: switch_root first")
		}
		return fmt.Errorf("pivot_root to %s: %w", dir.Name(), err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the old root: %w", err)
	}
	return os.Chdir("/")
}

// mountFiles puts single files of the host into the container.
func (r *Root) mountFiles(dir rootDir) error {
	for target, source := range r.Files {
		if err := bind(dir, source, target, 0); err != nil {
			return err
		}
	}
	return nil
}
