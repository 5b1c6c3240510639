package rootfs

import (
	"cmp"
	"fmt"
	"io/fs"

	"example.com/go-docker/day5-networks/mountfd"
	"golang.org/x/sys/unix"
)

// The devices that every program may expect, with their numbers in
// Documentation/admin-guide/devices.txt.
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var deviceLinks = map[string]string{
	"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	"ptmx": "pts/ptmx", "core": "/proc/kcore",
}

// mountDev mounts a new /dev, which puts the image's own devices, if any, out
// of reach.
func (r *Root) mountDev(tree mountfd.Tree) error {
	if err := tree.MountNew("/dev", "tmpfs", unix.MOUNT_ATTR_NOSUID, "mode=755", "size=65536k"); err != nil {
		return err
	}
	dev, err := tree.Open("/dev", unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer dev.Close()
	// mknod(2) applies the umask, but these devices are for everybody.
	defer unix.Umask(unix.Umask(0))
	for _, d := range devices {
		if err := unix.Mknodat(int(dev.Fd()), d.name, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return &fs.PathError{Op: "mknod", Path: "/dev/" + d.name, Err: err}
		}
	}
	for name, target := range deviceLinks {
		if err := unix.Symlinkat(target, int(dev.Fd()), name); err != nil {
			return &fs.PathError{Op: "symlink", Path: "/dev/" + name, Err: err}
		}
	}
	if err := tree.MountNew("/dev/pts", "devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "ptmxmode=0666", "mode=0620", "gid=5"); err != nil {
		return err
	}
	size := fmt.Sprint("size=", cmp.Or(r.ShmSize, 64<<20))
	if err := tree.MountNew("/dev/shm", "tmpfs", mountfd.Harmless, "mode=1777", size); err != nil {
		return err
	}
	if err := tree.MountNew("/dev/mqueue", "mqueue", mountfd.Harmless); err != nil || r.Console == "" {
		return err
	}
	// The container's terminal comes from the host's devpts, so in its own the
	// container has no other path to it.
	return tree.Bind(r.Console, "/dev/console", 0)
}
