package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/hierarchy"
	"example.com/go-docker/day4-lifecycle/lock"
)

// RemoveAll kills what runs in the cgroup dir and below it, and removes them
// all. A killed process stays in its cgroup until the kernel has finished with
// it, and until then rmdir(2) fails with EBUSY.
func RemoveAll(dir string) error {
	if unix.Rmdir(dir) == nil { // usually nothing is left in it
		return nil
	}
	stuck := &fs.PathError{Op: "rmdir", Path: dir, Err: unix.EBUSY}
	patience, stop := context.WithTimeoutCause(context.Background(), 5*time.Second, stuck)
	defer stop()
	return lock.Poll(patience, func() (bool, error) {
		err := killAndRemove(dir)
		if errors.Is(err, unix.EBUSY) {
			return false, nil
		}
		return true, err
	})
}

// killAndRemove goes through the tree once, deepest first. Only rmdir works:
// the files in a cgroup cannot be removed, so rm -r and os.RemoveAll fail.
func killAndRemove(dir string) error {
	entries, err := os.ReadDir(dir)
	// A path through a file, or too long for the kernel, was never a cgroup's.
	if hierarchy.Gone(err) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENAMETOOLONG) {
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
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// kill sends SIGKILL to every process in the cgroup. Since Linux 5.14, version
// 2 has a file for that, which cannot miss a process that is being forked; in
// version 1 the caller must repeat it until no process is left.
func kill(dir string) error {
	err := hierarchy.Write(filepath.Join(dir, "cgroup.kill"), "1")
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil // a threaded cgroup: its processes belong to an ancestor
	}
	if !hierarchy.Gone(err) {
		return err
	}
	pids, err := hierarchy.Processes(dir)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	for _, pid := range pids {
		if pid <= 0 {
			return fmt.Errorf("%s/cgroup.procs has process %d, which is not in our PID namespace", dir, pid)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d in %s: %w", pid, dir, err)
		}
	}
	return nil
}
