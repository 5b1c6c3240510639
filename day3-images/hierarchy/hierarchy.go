// Package hierarchy finds out where cgroups can be made on this machine, and of
// which version. It grew from rung 08-born-inside and adds support for
// controllers mounted together, hybrid machines, delegated subtrees, and
// running inside a container.
package hierarchy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A Hierarchy is one mounted tree of cgroups and the controllers that work in
// it. Version 1 has many hierarchies, usually one for each controller; version
// 2 has one for all. A hybrid machine has both, and a controller belongs to
// just one of them. cgroups(7)
type Hierarchy struct {
	Version     int
	Mount       string   // where it is mounted
	Root        string   // which of its cgroups is mounted there: "/" except in containers
	Controllers []string // kernel names: memory, cpu, cpuacct, cpuset, pids, ...
}

// v1Controllers lists the controllers this chapter knows; in mountinfo they
// appear among other mount options.
var v1Controllers = []string{"cpu", "cpuacct", "cpuset", "memory", "pids"}

// All asks the kernel what is mounted. It assumes nothing: not the path, not
// the version, not that each controller has a directory of its own.
func All() ([]Hierarchy, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	var found []Hierarchy
	for _, m := range mounts {
		h := hierarchyOf(m)
		if !h.visible() {
			continue // another file system is mounted on top
		}
		if h.Controllers, err = h.readControllers(m.VFSOptions); err != nil {
			return nil, err
		}
		found = append(found, h)
	}
	return found, nil
}

func hierarchyOf(m *mountinfo.Info) Hierarchy {
	version := map[string]int{"cgroup": 1, "cgroup2": 2}[m.FSType]
	return Hierarchy{Version: version, Mount: m.Mountpoint, Root: m.Root}
}

// visible checks the file system's magic number, statfs(2). If a controller is
// not mounted, its path may be a plain tmpfs directory, where mkdir and echo
// succeed and limit nothing.
func (h Hierarchy) visible() bool {
	magic := map[int]int64{1: unix.CGROUP_SUPER_MAGIC, 2: unix.CGROUP2_SUPER_MAGIC}[h.Version]
	var fs unix.Statfs_t
	err := unix.Statfs(h.Mount, &fs)
	return err == nil && int64(fs.Type) == magic
}

func (h Hierarchy) readControllers(options string) ([]string, error) {
	if h.Version == 2 {
		text, err := os.ReadFile(filepath.Join(h.Mount, "cgroup.controllers"))
		return strings.Fields(string(text)), err
	}
	var found []string
	for option := range strings.SplitSeq(options, ",") {
		if slices.Contains(v1Controllers, option) {
			found = append(found, option)
		}
	}
	return found, nil
}

// ByController returns the version in which the memory controller works,
// and the hierarchy of each controller of that version.
func ByController() (version int, byName map[string]Hierarchy, err error) {
	all, err := All()
	if err != nil {
		return 0, nil, err
	}
	return chooseVersion(all)
}

func chooseVersion(all []Hierarchy) (version int, byName map[string]Hierarchy, err error) {
	if len(all) == 0 {
		return 0, nil, errors.New("no cgroup file system is mounted: scripts/doctor.sh says how to get one")
	}
	byVersion := map[int]map[string]Hierarchy{1: {}, 2: {}}
	for _, h := range slices.Backward(all) { // if mounted twice, the first counts
		for _, name := range h.Controllers {
			byVersion[h.Version][name] = h
			if name == "memory" {
				version = h.Version
			}
		}
	}
	if version == 0 {
		return 0, nil, errors.New("no cgroup hierarchy has the memory controller: was the kernel booted with cgroup_disable=memory?")
	}
	return version, byVersion[version], nil
}

// Chain lists the directories from the one where we may make cgroups down to
// the one that will hold the container's. That is the cgroup parent, given as a
// path from the top, or "" for the directory where we may make cgroups.
func (h Hierarchy) Chain(parent string) ([]string, error) {
	if parent == "" {
		base, err := h.base()
		return []string{base}, err
	}
	dirs := []string{h.Mount}
	for _, name := range strings.FieldsFunc(filepath.Clean("/"+parent), func(r rune) bool { return r == '/' }) {
		dirs = append(dirs, filepath.Join(dirs[len(dirs)-1], name))
	}
	return dirs, nil
}

// base returns the directory in which we make our cgroups: the top of the
// hierarchy, like Docker, if we may write there; otherwise the nearest cgroup
// above our own that was delegated to us. cgroup-v2.rst, "Delegation"
func (h Hierarchy) base() (string, error) {
	why := h.usable(h.Mount)
	if why == nil {
		return h.Mount, nil
	}
	own, err := h.ownCgroup()
	if err != nil {
		return "", err
	}
	for dir := own; dir != h.Mount && dir != "/"; dir = filepath.Dir(dir) {
		err := h.usable(dir)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrPermission) {
			why = err // we own it, but something else is in the way
		}
	}
	return "", why
}

// usable returns nil if cgroups can be made in dir.
func (h Hierarchy) usable(dir string) error {
	err := unix.Access(dir, unix.W_OK)
	switch {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("cgroups cannot be made in %s: %w: remount it rw, or run a container like this one with its cgroups writable", dir, err)
	case err != nil:
		return fmt.Errorf("cgroups cannot be made in %s: %w: run as root, or in a cgroup that was delegated to you (systemd-run --user --scope -p Delegate=yes)", dir, err)
	case h.Version == 1 || isRoot(dir):
		return nil
	}
	// Below the root, a cgroup may have processes or pass controllers on to
	// children, but not both. cgroup-v2.rst, "No Internal Process Constraint"
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	if len(procs) > 0 {
		return fmt.Errorf("cgroups with limits cannot be made in %s: it has processes itself (no internal processes, cgroups(7)): move them into a child first: mkdir %s/leaf, then echo each to leaf/cgroup.procs", dir, dir)
	}
	return nil
}

// isRoot recognizes the root of the v2 hierarchy, the only cgroup without a
// cgroup.type file.
func isRoot(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cgroup.type"))
	return errors.Is(err, os.ErrNotExist)
}

// ownCgroup returns the directory of the cgroup this process is in.
func (h Hierarchy) ownCgroup() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	return h.cgroupIn(string(text))
}

// cgroupIn finds our line in /proc/self/cgroup. Its path starts at the root of
// the hierarchy, of which the mount may show only a part.
func (h Hierarchy) cgroupIn(text string) (string, error) {
	for line := range strings.Lines(text) {
		// hierarchy-ID:controller-list:path; version 2 has the id 0 and no list.
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		list := strings.Split(f[1], ",")
		if h.Version == 2 && f[0] == "0" || h.Version == 1 && slices.Contains(list, h.Controllers[0]) {
			below, err := filepath.Rel(h.Root, f[2])
			if err != nil || strings.HasPrefix(below, "..") {
				return h.Mount, nil
			}
			return filepath.Join(h.Mount, below), nil
		}
	}
	return "", fmt.Errorf("no line for %s in /proc/self/cgroup", h.Mount)
}
