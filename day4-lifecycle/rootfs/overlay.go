package rootfs

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// An Overlay is the container's file system: the image's layers, read-only and
// shared by all its containers, and on top one directory that takes every
// change. Its fields are directories on the host.
// Documentation/filesystems/overlayfs.rst
type Overlay struct {
	Layers   []string // lowest first; the kernel ignores an opaque mark on their top directories
	Upper    string   // takes the container's changes; "": the overlay is read-only
	Work     string   // for the kernel, on the same file system as Upper
	Merged   string   // where it is mounted
	Volatile bool     // Upper goes away with the container, so never wait for the disk
}

// Mount mounts the overlay. The options of mount(2) must fit in one page, and
// the paths of fifty layers do not. So Mount opens the directories and names
// them by their descriptors, relative to the directory in /proc that lists
// them. A comma or a colon in a path does not matter then, either. Mount
// changes the working directory.
func (o Overlay) Mount() error {
	if err := os.Chdir("/proc/self/fd"); err != nil {
		return fmt.Errorf("change to the directory of descriptors: %w", err)
	}
	dirs := slices.Clone(o.Layers)
	slices.Reverse(dirs) // overlayfs wants the uppermost first
	if o.Upper != "" {
		dirs = append(dirs, o.Upper, o.Work)
	}
	var names []string
	for _, dir := range dirs {
		file, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return fmt.Errorf("open a directory of the overlay: %w", err)
		}
		defer file.Close()
		names = append(names, fmt.Sprint(file.Fd()))
	}
	n := len(o.Layers)
	// Redirects and metadata-only copies, which some distributions enable,
	// leave files in Upper that mean nothing without the layers below; with an
	// index, Upper could not be read for commit -o while the container runs.
	options := "index=off,redirect_dir=off,metacopy=off,lowerdir=" + strings.Join(names[:n], ":")
	if o.Upper != "" {
		options += fmt.Sprintf(",upperdir=%s,workdir=%s", names[n], names[n+1])
	}
	if o.Volatile {
		options += ",volatile"
	}
	// nodev: a device node in the image must not open the device.
	if err := unix.Mount("overlay", o.Merged, "overlay", unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount an overlay of %d layers on %s: %w", n, o.Merged, explainOverlay(err))
	}
	return nil
}

// MountApart mounts the overlay where nobody else sees it, for as long as a
// descriptor in it is open. The mount namespace ends with its only thread.
func (o Overlay) MountApart() (root *os.File, err error) {
	o.Volatile = false // or the kernel would mark Work, and refuse the next mount
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so that the thread ends
		if err = unix.Unshare(unix.CLONE_NEWNS); err != nil {
			err = fmt.Errorf("make a mount namespace: %w", err)
		} else if err = MakeMountsPrivate(); err == nil {
			err = o.Mount()
		}
		if err == nil {
			root, err = os.OpenFile(o.Merged, unix.O_PATH|unix.O_DIRECTORY, 0)
		}
	}()
	<-done
	return root, err
}

// checkWritable makes sure that the overlay is writable. If the kernel cannot
// make its own directories in Work, as on a full disk, it mounts the overlay
// read-only and says so only in its log. ovl_get_workdir in
// fs/overlayfs/super.c
func (o Overlay) checkWritable(at *os.File) error {
	var mounted unix.Statfs_t
	if err := unix.Fstatfs(int(at.Fd()), &mounted); err != nil {
		return &os.PathError{Op: "statfs", Path: at.Name(), Err: err}
	}
	if mounted.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("the overlay on %s came up read-only: the kernel could not write to %s: dmesg says why; is there no space left on device?", at.Name(), o.Work)
	}
	return nil
}

func explainOverlay(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: this kernel has no overlayfs: modprobe overlay", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: dmesg says why; most often the store is on an overlay itself, so choose another file system with --root", err)
	}
	return err
}
