package rootfs

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"example.com/go-docker/day4-lifecycle/mountfd"
	"golang.org/x/sys/unix"
)

// Cgroups has the directories of the container's own cgroups on the host.
type Cgroups struct {
	Version int
	Dirs    map[string]string // directory of each controller; in version 2 all the same
}

const cgroupTop = "/sys/fs/cgroup"

// mountCgroups shows the container its limits, read-only: a Go program derives
// the number of its threads from them, a JVM the size of its heap. Only the
// container's own directories are mounted, so no other cgroup can be reached.
//
// A new cgroup2 mount would have its root there only if it were made inside the
// cgroup namespace, cgroup_namespaces(7). But that namespace comes last, with
// the command itself, when the host's root is long out of reach. A bind mount
// of the directory is equivalent, and is what runc does without such a
// namespace: seen from inside the namespace, both mountinfo and
// /proc/self/cgroup give "/".
func (r *Root) mountCgroups(tree mountfd.Tree) error {
	sharing := map[string][]string{} // controllers of each directory
	for _, controller := range slices.Sorted(maps.Keys(r.Cgroups.Dirs)) {
		own := r.Cgroups.Dirs[controller]
		if err := os.Chmod(own, 0o755); err != nil { // regardless of our umask
			return err
		}
		sharing[own] = append(sharing[own], controller)
	}
	if r.Cgroups.Version == 1 {
		return mountHierarchies(tree, sharing)
	}
	for own := range sharing {
		if err := tree.Bind(own, cgroupTop, mountfd.Harmless|unix.MOUNT_ATTR_RDONLY); err != nil {
			return err
		}
	}
	return nil
}

// mountHierarchies mounts those of version 1 in a tmpfs: each in a directory
// named after its controllers and, if these are several, with a link from each,
// such as cpu to cpu,cpuacct.
func mountHierarchies(tree mountfd.Tree, sharing map[string][]string) error {
	if err := tree.MountNew(cgroupTop, "tmpfs", mountfd.Harmless, "mode=755", "size=64k"); err != nil {
		return err
	}
	top, err := tree.Open(cgroupTop, 0)
	if err != nil {
		return err
	}
	defer top.Close()
	for own, controllers := range sharing {
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
		if err := tree.Bind(own, cgroupTop+"/"+name, mountfd.Harmless); err != nil {
			return err
		}
	}
	return mountfd.SetAttributes(top, unix.MOUNT_ATTR_RDONLY) // and the hierarchies in it
}
