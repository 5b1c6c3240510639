package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"example.com/go-docker/day4-lifecycle/hierarchy"
	"example.com/go-docker/day4-lifecycle/lock"
)

// Freeze stops everything in the cgroup, or lets it go on: pause and unpause. A
// frozen process sees nothing of it, unlike one that got SIGSTOP.
// cgroup-v1/freezer-subsystem.rst; cgroup-v2.rst, "cgroup.freeze"
func (g *Cgroup) Freeze(freeze bool) error {
	file, value, answer, want := "cgroup.freeze", "0", "cgroup.events", "frozen 0"
	dir := g.Cgroups[0]
	if freeze {
		value, want = "1", "frozen 1"
	}
	if g.Version == 1 {
		file, value, answer, want = "freezer.state", "THAWED", "freezer.state", "THAWED"
		if freeze {
			value, want = "FROZEN", "FROZEN"
		}
		if dir = g.Dirs["freezer"]; dir == "" {
			return errors.New("no freezer controller on this machine (cgroup v1): nothing can be paused, see /proc/cgroups")
		}
	}
	if err := hierarchy.Write(filepath.Join(dir, file), value); err != nil {
		return err
	}
	// It takes a moment: a process freezes on its way back from a system call.
	patience, stop := context.WithTimeoutCause(context.Background(), 10*time.Second, fmt.Errorf("%s does not become %q", filepath.Join(dir, answer), want))
	defer stop()
	err := lock.Poll(patience, func() (bool, error) {
		text, err := os.ReadFile(filepath.Join(dir, answer))
		return strings.Contains(string(text), want), err
	})
	if err != nil && freeze {
		err = errors.Join(err, hierarchy.Write(filepath.Join(dir, file), map[int]string{1: "THAWED", 2: "0"}[g.Version]))
	}
	return err
}

// thaw lets the processes go on to their end: in version 1 not even SIGKILL
// reaches one that is frozen.
func (r *Record) thaw() error {
	dir := r.Dirs["freezer"]
	if dir == "" {
		return nil
	}
	err := hierarchy.Write(filepath.Join(dir, "freezer.state"), "THAWED")
	if hierarchy.Gone(err) {
		return nil
	}
	return err
}

// Join is Enter for the parent itself, which starts a command in a cgroup that
// has others: exec. It uses what Place has opened, so it works in any root. In
// version 1 the calling thread enters, and the caller has to end it: else Remove
// would take this process for one of the container.
func (g *Cgroup) Join(command *syscall.SysProcAttr) error {
	if g.Version == 2 {
		cloneInto(command, g.handed[0].Fd())
		return nil
	}
	for _, file := range g.handed {
		if err := enterTasks(file); err != nil {
			return err
		}
	}
	return nil
}
