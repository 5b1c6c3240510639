package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A cgroup is what limits one container: a directory in the one hierarchy of
// version 2, or one in each of several of version 1.
type cgroup struct {
	record      *record
	controllers []string
	handed      []*os.File // what init gets, to put the command in here
}

// A setting is one value for one file of one controller.
type setting struct {
	controller, file, value string
	optional                bool // the kernel may have been booted without the file
}

// createCgroup makes the cgroup and sets its limits before anything runs in
// it. When it returns an error, nothing of it is left.
func createCgroup(c *Container) (g *cgroup, err error) {
	if err := sweep(); err != nil {
		return nil, err
	}
	for range 10 {
		// The end of another container may take away a parent that we have just
		// seen: then once more.
		if g, err = makeCgroup(c); !gone(err) {
			break
		}
	}
	return g, err
}

func makeCgroup(c *Container) (_ *cgroup, err error) {
	g, settings, err := planCgroup(c)
	if err != nil {
		return nil, err
	}
	if err := g.record.write(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.remove())
		}
	}()
	for _, dir := range slices.Concat(g.record.Parents, g.record.Cgroups) {
		if err := g.makeDir(dir); err != nil {
			return nil, err
		}
	}
	for _, s := range settings {
		if err := g.set(s); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// planCgroup decides which directories to make and which files to write, and
// changes nothing yet.
func planCgroup(c *Container) (*cgroup, []setting, error) {
	version, hierarchies, err := findControllers()
	if err != nil {
		return nil, nil, err
	}
	if err := checkPids(c, version); err != nil {
		return nil, nil, err
	}
	settings := c.Limits.settings(version)
	controllers, err := wanted(settings, version, hierarchies)
	if err != nil {
		return nil, nil, err
	}
	r := &record{ID: c.ID, PID: os.Getpid(), Command: c.Args, Version: version, Dirs: map[string]string{}}
	for _, name := range controllers {
		above, err := hierarchies[name].chain(c.CgroupParent)
		if err != nil {
			return nil, nil, err
		}
		dir := filepath.Join(above[len(above)-1], "go-docker-"+c.ID)
		r.Dirs[name] = dir
		if !slices.Contains(r.Cgroups, dir) { // controllers may share a hierarchy
			r.Cgroups = append(r.Cgroups, dir)
			r.Parents = append(r.Parents, above[1:]...)
		}
	}
	r.Parents, err = ours(r.Parents)
	return &cgroup{record: r, controllers: controllers}, settings, err
}

// ownThreads is more than the Go runtime starts before init becomes the command.
const ownThreads = 16

// checkPids refuses limits that would hit us and not the command, see place and
// forkExec: the kernel counts threads of ours until the command runs.
func checkPids(c *Container, version int) error {
	pids := c.Limits.Pids
	switch {
	case version == 1 && c.Init && pids == 1:
		return errors.New("invalid --pids-limit 1: in cgroup v1 init's thread that starts the command is one itself: 2, or --init=false")
	case version == 2 && !c.Init && pids > 0 && pids < ownThreads:
		return fmt.Errorf("invalid --pids-limit %d: in cgroup v2 with --init=false the threads of this program count until it becomes the command: %d, or leave --init on", pids, ownThreads)
	}
	return nil
}

// ours returns those of the parents that go with the container: those that are
// not there yet, and those another container has made. The last one removes
// them.
func ours(parents []string) ([]string, error) {
	if len(parents) == 0 { // as without --cgroup-parent: spare reading all records
		return nil, nil
	}
	var made []string
	for _, dir := range parents {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			made = append(made, dir)
		}
	}
	others, err := records() // after the look: a record is older than what it names
	for _, r := range others {
		r.file.Close()
		made = append(made, r.Parents...)
	}
	return slices.DeleteFunc(parents, func(dir string) bool { return !slices.Contains(made, dir) }), err
}

// wanted lists the controllers whose counters we read, as far as this machine
// has them, and those that the limits need.
func wanted(settings []setting, version int, have map[string]hierarchy) ([]string, error) {
	var names []string
	for _, name := range counted[version] {
		if _, ok := have[name]; ok {
			names = append(names, name)
		}
	}
	for _, s := range settings {
		if _, ok := have[s.controller]; !ok {
			return nil, fmt.Errorf("no %s controller on this machine (cgroup v%d): %s cannot be set, see /proc/cgroups", s.controller, version, s.file)
		}
		if !slices.Contains(names, s.controller) {
			names = append(names, s.controller)
		}
	}
	return names, nil
}

// chain lists the directories from where we may make cgroups down to the one
// in which the container's is made.
func (h hierarchy) chain(parent string) ([]string, error) {
	if parent == "" {
		base, err := h.base()
		return []string{base}, err
	}
	dirs := []string{h.mount}
	for name := range strings.SplitSeq(strings.Trim(parent, "/"), "/") {
		dirs = append(dirs, filepath.Join(dirs[len(dirs)-1], name))
	}
	return dirs, nil
}

// makeDir makes one cgroup: mkdir is the whole system call for it.
func (g *cgroup) makeDir(dir string) error {
	if g.record.Version == 2 {
		if err := enable(filepath.Dir(dir), g.controllers); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return explain(err)
	}
	if g.record.Version == 1 && strings.HasPrefix(g.record.Dirs["cpuset"]+"/", dir+"/") {
		return inheritCPUSet(dir)
	}
	return nil
}

func (g *cgroup) set(s setting) error {
	err := write(filepath.Join(g.record.Dirs[s.controller], s.file), s.value)
	if s.optional && errors.Is(err, fs.ErrNotExist) {
		logrus.Warnf("%s is missing: the kernel does not account for swap here, so it cannot limit it (boot with swapaccount=1)", s.file)
		return nil
	}
	if err == nil && s.file == "cpuset.cpus" && g.record.Version == 2 {
		return checkEffective(g.record.Dirs["cpuset"], s.value)
	}
	return err
}

// write gives a value to a cgroup file. It never creates: on any file system
// but a cgroup's that would seem to work.
func write(path, value string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return explain(err)
	}
	defer file.Close() // the write itself has told all there is to tell
	if _, err := file.WriteString(value); err != nil {
		return fmt.Errorf("write %q to %w", value, explain(err))
	}
	return nil
}

// gone tells whether a cgroup is no longer there. A file that was opened before
// says ENODEV.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) }

// explain adds what the kernel means where its error number misleads.
func explain(err error) error {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return err
	}
	why := ""
	file := filepath.Base(at.Path)
	switch {
	case errors.Is(err, unix.EROFS):
		why = "the cgroup file system is mounted read-only"
	case errors.Is(err, unix.EACCES) && file == "cpuset.cpus" && at.Op == "write":
		why = "the cgroup above does not have all of these CPUs"
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		why = "run as root, or in a cgroup that was delegated to you"
	case errors.Is(err, unix.EBUSY) && file == "cgroup.subtree_control":
		why = "a cgroup with processes of its own cannot give controllers to its children (no internal processes, cgroups(7)): move them into a child first"
	case errors.Is(err, unix.ENOENT) && file == "cgroup.subtree_control":
		why = "the cgroup above does not give it this controller: see cgroup.controllers"
	case errors.Is(err, unix.EBUSY) && strings.HasSuffix(file, ".limit_in_bytes"):
		why = "usage is already above the limit"
	case errors.Is(err, unix.ENOSPC) && file == "tasks":
		why = "cpuset.cpus and cpuset.mems must be set before a process may enter"
	}
	if why == "" {
		return fmt.Errorf("%s: %w", at.Path, at.Err)
	}
	return fmt.Errorf("%s: %w: %s", at.Path, at.Err, why)
}

// remove kills what still runs in the cgroup and removes all that was made.
func (g *cgroup) remove() error {
	for _, file := range g.handed {
		file.Close()
	}
	return g.record.cleanUp()
}

// removeCgroup removes dir and every cgroup below it. A process that was
// killed stays in its cgroup until the kernel is through with it, and until
// then rmdir says EBUSY.
func removeCgroup(dir string) error {
	if unix.Rmdir(dir) == nil { // most often nothing is left in it
		return nil
	}
	giveUp := time.Now().Add(5 * time.Second)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := killAndRemove(dir)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(giveUp) {
			return err
		}
		time.Sleep(pause)
	}
}

// killAndRemove goes through the tree once, deepest first. Only rmdir will do:
// the files of a cgroup cannot be removed, so rm -r and os.RemoveAll fail.
func killAndRemove(dir string) error {
	entries, err := os.ReadDir(dir)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := kill(dir); err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := killAndRemove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// kill sends SIGKILL to every process in the cgroup. Version 2 has a file for
// that since Linux 5.14, which cannot miss one that is just being forked; in
// version 1 one has to come back until no process is left.
func kill(dir string) error {
	err := write(filepath.Join(dir, "cgroup.kill"), "1")
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil // a threaded cgroup: its processes count as those of one above
	}
	if !gone(err) {
		return err
	}
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil && !gone(err) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	for line := range strings.Lines(string(procs)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err != nil || pid <= 0 {
			return fmt.Errorf("%s/cgroup.procs has process %q, which is not in our PID namespace", dir, strings.TrimSpace(line))
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			return fmt.Errorf("kill process %d in %s: %w", pid, dir, err)
		}
	}
	return nil
}
