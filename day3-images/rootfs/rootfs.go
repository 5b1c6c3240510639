package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A Root is what the container has instead of the host's file system.
type Root struct {
	Overlay      Overlay
	Files        map[string]string // path in the container: file of the host, as for /etc/hosts
	Volumes      []Volume          // -v
	ImageVolumes []ImageVolume     // VOLUME of the image
	Workdir      string            // made if it is not there, as Docker does
	ReadOnly     bool
	Console      string // the container's terminal on the host, like /dev/pts/7
}

// Enter makes the root and moves this process into it: a recipe. Nothing of it
// shows on the host, because the mount tree is private already.
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
		r.openImageVolumes, mountKernel, mountDev, r.mountConsole, maskProc, r.mountFiles, r.mountImageVolumes, r.mountVolumes, r.makeWorkdir, pivot,
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
	if err := mountOwn(dir, "/proc", "proc", harmless); err != nil {
		return err
	}
	return mountOwn(dir, "/sys", "sysfs", harmless|unix.MOUNT_ATTR_RDONLY)
}

// mountOwn mounts a file system on a directory right below the root. The image
// may leave it out, but a link in its place is refused: programs that look for
// /proc would be led elsewhere (CVE-2019-19921).
func mountOwn(dir rootDir, place, fsType string, attributes int, options ...string) error {
	if err := unix.Mkdirat(int(dir.Fd()), place[1:], 0o755); err != nil && err != unix.EEXIST {
		return &fs.PathError{Op: "make in the container", Path: place, Err: err}
	}
	at, err := dir.resolve(place+"/.", unix.RESOLVE_NO_SYMLINKS) // /. of nothing but a directory
	if errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("the image's %s is a symbolic link: refused", place)
	}
	if err != nil {
		return err
	}
	mount, err := newMount(fsType, attributes, options...)
	if err != nil {
		at.Close()
		return err
	}
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
		if err == unix.EINVAL {
			err = errors.New("invalid argument: the current root cannot be left, as on an initramfs: switch_root first")
		}
		return fmt.Errorf("pivot_root to %s: %w", dir.Name(), err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the old root: %w", err)
	}
	return os.Chdir("/")
}

// maskedPaths and readOnlyPaths are Docker's: parts of /proc and /sys that no
// namespace covers, so that they show or change the host.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readOnlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// maskProc hides what must not be read and locks what must not be written.
// /dev/null comes from the host, not from the container (CVE-2025-31133).
func maskProc(dir rootDir) error {
	for _, name := range maskedPaths {
		at, err := dir.resolve(name, unix.RESOLVE_NO_SYMLINKS)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		mount, err := mask(at)
		if err != nil {
			at.Close()
			return fmt.Errorf("mask %s: %w", name, err)
		}
		if err := attach(mount, at); err != nil {
			return err
		}
	}
	for _, name := range readOnlyPaths {
		if err := lock(dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make %s read-only: %w", name, err)
		}
	}
	return nil
}

func mask(at *os.File) (*os.File, error) {
	if is, err := isDir(at); err != nil || is {
		mount, errMount := newMount("tmpfs", harmless|unix.MOUNT_ATTR_RDONLY, "size=0", "nr_inodes=1")
		return mount, errors.Join(err, errMount)
	}
	return cloneMount("/dev/null")
}

// lock mounts a path on itself, because only a mount can be read-only.
func lock(dir rootDir, name string) error {
	at, err := dir.resolve(name, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	mount, err := cloneMount(fdPath(int(at.Fd())))
	if err != nil {
		return err
	}
	if err := setAttributes(mount, unix.MOUNT_ATTR_RDONLY|harmless); err != nil {
		return err
	}
	return attach(mount, at)
}

func (r *Root) makeWorkdir(dir rootDir) error {
	place, err := dir.make(r.Workdir, true)
	if err != nil {
		return fmt.Errorf("make the working directory: %w", err)
	}
	return place.Close()
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
