package rootfs

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/mountfd"
	"golang.org/x/sys/unix"
)

// Cgroups are the directories on the host of the container's own cgroups.
type Cgroups struct {
	Version int
	Dirs    map[string]string // directory of each controller; in version 2 the same for all
}

const cgroupTop = "/sys/fs/cgroup"

// mountCgroups shows the container its limits, read-only: a Go program takes the
// number of its threads from them, a JVM the size of its heap. What is mounted
// are the container's own directories, so no other cgroup can be reached.
//
// For a new cgroup2 mount to begin there, it would have to be made inside the
// cgroup namespace, cgroup_namespaces(7). But that comes last, with the command
// itself, when the root has long been left. To bind the directory is the same
// mount, and runc's way where there is no such namespace: mountinfo says "/" of
// its root as soon as the reader is in the namespace, and /proc/self/cgroup does.
func (r *Root) mountCgroups(tree mountfd.Tree) error {
	sharing := map[string][]string{} // directory: its controllers
	for _, controller := range slices.Sorted(maps.Keys(r.Cgroups.Dirs)) {
		own := r.Cgroups.Dirs[controller]
		sharing[own] = append(sharing[own], controller)
	}
	if r.Cgroups.Version == 1 {
		if err := mountCgroupTop(tree, sharing); err != nil {
			return err
		}
	}
	for own, controllers := range sharing {
		if err := os.Chmod(own, 0o755); err != nil { // whatever our umask is
			return err
		}
		target := cgroupTop
		if r.Cgroups.Version == 1 {
			target += "/" + strings.Join(controllers, ",")
		}
		if err := tree.Bind(own, target, mountfd.Harmless|unix.MOUNT_ATTR_RDONLY); err != nil {
			return err
		}
	}
	return nil
}

// mountCgroupTop mounts what version 1's hierarchies are mounted in: a directory
// for each, and links where controllers share one, cpu to cpu,cpuacct.
func mountCgroupTop(tree mountfd.Tree, sharing map[string][]string) error {
	top, err := mountfd.New("tmpfs", mountfd.Harmless, "mode=755", "size=64k")
	if err != nil {
		return err
	}
	defer top.Close()
	for _, controllers := range sharing {
		name := strings.Join(controllers, ",")
		err := unix.Mkdirat(int(top.Fd()), name, 0o755)
		for _, controller := range controllers {
			if controller != name {
				err = errors.Join(err, unix.Symlinkat(name, int(top.Fd()), controller))
			}
		}
		if err != nil {
			return &fs.PathError{Op: "make in the container", Path: cgroupTop + "/" + name, Err: err}
		}
	}
	if err := mountfd.SetAttributes(top, unix.MOUNT_ATTR_RDONLY); err != nil {
		return err
	}
	at, err := tree.MountPoint(cgroupTop, true)
	if err != nil {
		return err
	}
	defer at.Close()
	return mountfd.Attach(top, at)
}
