package cgroup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/freezer"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/usage"
)

// A Record says which cgroups belong to a container. It is written before the
// first of them is made, and its file stays locked as long as we live. The
// kernel drops the lock when we die, even from SIGKILL, so a record that can be
// locked has a dead owner, and whoever finds it cleans up.
type Record struct {
	ID      string            `json:"id"`
	Version int               `json:"cgroup_version"`
	Dirs    map[string]string `json:"controllers"` // directory of each controller
	Cgroups []string          `json:"cgroups"`     // to be removed

	parents []string // to be made first
	lock    *os.File
}

// recordDir is on a tmpfs, so that a reboot removes records along with the
// cgroups. Only root can make it, so nobody else can have us kill and remove
// what a record names.
const recordDir = "/run/go-docker"

func (r *Record) path() string { return filepath.Join(recordDir, r.ID+".json") }

// Usage reads the counters of the container.
func (r *Record) Usage() (usage.Usage, error) { return usage.Read(r.Version, r.Dirs) }

func (r *Record) write() error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	for range 1000 {
		if err = os.MkdirAll(recordDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if r.lock, err = lock.Create(r.path(), text); err == nil {
			return nil
		}
		_ = unix.Rmdir(recordDir) // fails while others have records in it
		// The last container to end removes the directory, and may just have
		// done so.
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	return err
}

// cleanUp removes what the record names, then the record itself. After a
// failure it can be run again.
func (r *Record) cleanUp() error {
	if err := freezer.Thaw(r.Version, r.Freezer()); err != nil {
		return err
	}
	for _, dir := range r.Cgroups {
		if err := RemoveAll(dir); err != nil {
			return fmt.Errorf("remove the container's cgroup: %w", err)
		}
	}
	if err := os.Remove(r.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = unix.Rmdir(recordDir) // fails while others have records in it
	return r.lock.Close()
}

func readRecord(path string) (*Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Record{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s is not a record: %w", path, err)
	}
	if r.path() != path || slices.ContainsFunc(r.Cgroups, func(dir string) bool { return filepath.Base(dir) != "go-docker-"+r.ID }) {
		return nil, fmt.Errorf("%s is not a record: it has the id %q and the cgroups %q", path, r.ID, r.Cgroups)
	}
	return r, nil
}

// Sweep cleans up after containers whose owner was killed. Failing to do so
// must not stop the caller.
func Sweep() error {
	paths, err := filepath.Glob(recordDir + "/*.json")
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := removeLeft(path); err != nil && !errors.Is(err, lock.ErrHeld) {
			logrus.Warn(err)
		}
	}
	return nil
}

// RemoveLeft removes what a container left behind whose owner is dead. The error
// Is lock.ErrHeld for one that is alive, or dying: the kernel closes its files
// one by one.
func RemoveLeft(id string) error { return removeLeft((&Record{ID: id}).path()) }

// removeLeft is for an owner's record. An owner that cleaned up has left nothing
// to remove.
func removeLeft(path string) error {
	file, err := lock.Try(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := readRecord(path)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	logrus.Infof("removing what container %s left behind", r.ID)
	r.lock = file
	return r.cleanUp()
}

// Running returns the records of the containers with these ids, or of all
// running ones. A container that has just ended has none.
func Running(ids []string) ([]*Record, error) {
	paths, err := filepath.Glob(recordDir + "/*.json")
	if err != nil {
		return nil, err
	}
	var all []*Record
	for _, path := range paths {
		file, err := lock.Try(path)
		if err == nil {
			err = errors.Join(fs.ErrNotExist, file.Close()) // its owner is dead
		}
		var r *Record
		if errors.Is(err, lock.ErrHeld) {
			r, err = readRecord(path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case len(ids) == 0 || slices.Contains(ids, r.ID):
			all = append(all, r)
		}
	}
	return all, nil
}
