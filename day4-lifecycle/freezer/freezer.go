// Package freezer stops all processes in a cgroup and lets them go on. The
// ladder has no rung for it.
package freezer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.com/go-docker/day4-lifecycle/hierarchy"
	"example.com/go-docker/day4-lifecycle/lock"
)

// A file says what to write to stop a cgroup or to let it go on, and where the
// kernel reports that it is done.
type file struct{ name, freeze, thaw, answer, frozen, thawed string }

// cgroup-v1/freezer-subsystem.rst; cgroup-v2.rst, "cgroup.freeze"
var files = map[int]file{
	1: {"freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN", "THAWED"},
	2: {"cgroup.freeze", "1", "0", "cgroup.events", "frozen 1", "frozen 0"},
}

// Freeze stops everything in a cgroup, given the version of cgroups and the
// directory. Unlike SIGSTOP, a freeze cannot be noticed from inside.
func Freeze(version int, dir string) error {
	if dir == "" {
		return errors.New("no freezer controller on this machine (cgroup v1): nothing can be paused, see /proc/cgroups")
	}
	f := files[version]
	err := f.set(dir, f.freeze, f.frozen)
	if err != nil {
		err = errors.Join(err, Thaw(version, dir))
	}
	return err
}

// Thaw lets the processes go on. It also has to come before killing them: in
// version 1 not even SIGKILL reaches a frozen process. It is not an error if
// the cgroup is gone, or if there is no freezer controller.
func Thaw(version int, dir string) error {
	if dir == "" { // else the names below would be those of files where we are
		return nil
	}
	f := files[version]
	if err := f.set(dir, f.thaw, f.thawed); !hierarchy.Gone(err) {
		return err
	}
	return nil
}

// set writes a value and waits for the kernel to report that it is done. That
// takes a moment, because a process freezes on its way back from a system call.
func (f file) set(dir, value, want string) error {
	if err := hierarchy.Write(filepath.Join(dir, f.name), value); err != nil {
		return err
	}
	answer := filepath.Join(dir, f.answer)
	patience, stop := context.WithTimeoutCause(context.Background(), 10*time.Second, fmt.Errorf("%s does not become %q", answer, want))
	defer stop()
	return lock.Poll(patience, func() (bool, error) {
		text, err := os.ReadFile(answer)
		return strings.Contains(string(text), want), err
	})
}
