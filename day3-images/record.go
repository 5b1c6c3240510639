package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A record says which cgroups belong to a container. It is written before the
// first of them is made, and its file stays locked for as long as we live. The
// kernel drops the lock when we die, even of SIGKILL: so a record that can be
// locked is one whose owner is dead, and whoever finds it cleans up.
type record struct {
	ID      string            `json:"id"`
	PID     int               `json:"pid"`
	Command []string          `json:"command"`
	Version int               `json:"cgroup_version"`
	Dirs    map[string]string `json:"controllers"` // controller: directory
	Cgroups []string          `json:"cgroups"`     // the container's own, to be removed
	Parents []string          `json:"parents"`     // made on the way, to be removed when empty

	file *os.File // holds the lock
}

// recordDir is on a tmpfs, so records vanish with the cgroups at shutdown.
func recordDir() string {
	if os.Geteuid() == 0 {
		return "/run/go-docker"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "go-docker")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("go-docker-%d", os.Geteuid()))
}

func (r *record) path() string { return filepath.Join(recordDir(), r.ID+".json") }

// write makes the record's file. It must not be seen before it is locked, so
// it gets its name last: open(2), O_TMPFILE.
func (r *record) write() error {
	var err error
	for range 1000 {
		if err = os.MkdirAll(recordDir(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err = r.writeIn(recordDir()); err == nil {
			return nil
		}
		_ = unix.Rmdir(recordDir()) // if nobody else has a record in it
		// The last container to end removes the directory. ext4 then says EPERM for O_TMPFILE, and others ENOENT.
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	return err
}

func (r *record) writeIn(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &fs.PathError{Op: "make a record in", Path: dir, Err: err}
	}
	r.file = os.NewFile(uintptr(fd), r.path())
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock %s: %w", r.path(), err)
	}
	if err := json.NewEncoder(r.file).Encode(r); err != nil {
		return fmt.Errorf("write %s: %w", r.path(), err)
	}
	err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, r.path(), unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return &fs.PathError{Op: "name the record", Path: r.path(), Err: err}
	}
	return nil
}

// cleanUp removes what the record names and then the record itself. It can be
// run again after it has failed.
func (r *record) cleanUp() error {
	for _, dir := range r.Cgroups {
		if err := removeCgroup(dir); err != nil {
			return fmt.Errorf("remove the container's cgroup: %w", err)
		}
	}
	for _, dir := range slices.Backward(r.Parents) {
		_ = unix.Rmdir(dir) // stays as long as others have cgroups in it
	}
	if err := os.Remove(r.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = unix.Rmdir(recordDir()) // stays as long as others have records in it
	return r.file.Close()
}

// records opens all records. The caller closes their files.
func records() ([]*record, error) {
	// Whoever writes a record has us kill and remove what it names, and in /tmp
	// anybody may have made the directory.
	var dir unix.Stat_t
	if err := unix.Lstat(recordDir(), &dir); err == nil && int(dir.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to another user (uid %d)", recordDir(), dir.Uid)
	}
	paths, err := filepath.Glob(filepath.Join(recordDir(), "*.json"))
	if err != nil {
		return nil, err
	}
	var all []*record
	for _, path := range paths {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its container has just ended
		}
		if err != nil {
			return nil, err
		}
		r := &record{file: file}
		if err := json.NewDecoder(file).Decode(r); err != nil || r.path() != path {
			logrus.Warnf("%s is not a record: %v", path, err)
			file.Close()
			continue
		}
		all = append(all, r)
	}
	return all, nil
}

// ownerLives tells whether the program that wrote the record still runs.
func (r *record) ownerLives() bool {
	return unix.Flock(int(r.file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
}

// abandoned tells whether the owner has died and left the record behind. One
// that ends in peace removes it, perhaps since we have opened it.
func (r *record) abandoned() bool {
	var file unix.Stat_t
	return !r.ownerLives() && unix.Fstat(int(r.file.Fd()), &file) == nil && file.Nlink > 0
}

// sweep cleans up after containers whose owner was killed.
func sweep() error {
	all, err := records()
	if err != nil {
		return err
	}
	for _, r := range all {
		if !r.abandoned() {
			r.file.Close()
			continue
		}
		logrus.Infof("removing what container %s left behind", r.ID)
		if err := r.cleanUp(); err != nil { // no fault of the container we are to start
			logrus.Warn(err)
			r.file.Close()
		}
	}
	return nil
}

// runningRecords returns the records of the containers whose ids start as
// given, or of all that run.
func runningRecords(ids []string) ([]*record, error) {
	all, err := records()
	if err != nil {
		return nil, err
	}
	var running []*record
	for _, r := range all {
		if r.ownerLives() {
			running = append(running, r)
		}
		r.file.Close()
	}
	if len(ids) == 0 {
		return running, nil
	}
	var chosen []*record
	for _, id := range ids {
		var found []*record
		for _, r := range running {
			if strings.HasPrefix(r.ID, id) {
				found = append(found, r)
			}
		}
		switch {
		case len(found) == 0:
			return nil, fmt.Errorf("no such container: %q", id)
		case len(found) > 1:
			return nil, fmt.Errorf("more than one running container has an id that starts with %q", id)
		}
		chosen = append(chosen, found[0])
	}
	return chosen, nil
}
