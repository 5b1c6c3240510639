package cgroup

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

	"example.com/go-docker/day3-images/lock"
	"example.com/go-docker/day3-images/usage"
)

// A Record says which cgroups belong to a container. It is written before the
// first of them is made, and its file stays locked as long as we live. The
// kernel drops the lock when we die, even from SIGKILL, so a record that can be
// locked has a dead owner, and whoever finds it cleans up.
type Record struct {
	ID      string            `json:"id"`
	PID     int               `json:"pid"`
	Version int               `json:"cgroup_version"`
	Dirs    map[string]string `json:"controllers"` // directory of each controller
	Cgroups []string          `json:"cgroups"`     // to be removed

	parents []string // to be made first
	lock    *os.File
}

// recordDir is on a tmpfs, so that a reboot removes records along with the
// cgroups.
func recordDir() string {
	if os.Geteuid() == 0 {
		return "/run/go-docker"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "go-docker")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("go-docker-%d", os.Geteuid()))
}

func (r *Record) path() string { return filepath.Join(recordDir(), r.ID+".json") }

// Usage reads the counters of the container.
func (r *Record) Usage() (usage.Usage, error) { return usage.Read(r.Version, r.Dirs) }

func (r *Record) write() error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	for range 1000 {
		if err = os.MkdirAll(recordDir(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if r.lock, err = lock.Create(r.path(), text); err == nil {
			return nil
		}
		_ = unix.Rmdir(recordDir()) // fails while others have records in it
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
	for _, dir := range r.Cgroups {
		if err := RemoveAll(dir); err != nil {
			return fmt.Errorf("remove the container's cgroup: %w", err)
		}
	}
	if err := os.Remove(r.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = unix.Rmdir(recordDir()) // fails while others have records in it
	return r.lock.Close()
}

func recordPaths() ([]string, error) {
	// We kill and remove whatever a record names, and in /tmp anybody may have
	// made the directory.
	var dir unix.Stat_t
	if err := unix.Lstat(recordDir(), &dir); err == nil && int(dir.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to another user (uid %d)", recordDir(), dir.Uid)
	}
	return filepath.Glob(filepath.Join(recordDir(), "*.json"))
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

// sweep cleans up after containers whose owner was killed. Failing to do so
// must not stop the container that we are about to start.
func sweep() error {
	paths, err := recordPaths()
	if err != nil {
		return err
	}
	for _, path := range paths {
		file, err := lock.Try(path)
		if errors.Is(err, lock.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
			continue // its owner is alive, or has cleaned up itself
		}
		if err != nil {
			return err
		}
		r, err := readRecord(path)
		if err == nil {
			logrus.Infof("removing what container %s left behind", r.ID)
			r.lock = file
			err = r.cleanUp()
		}
		if err != nil {
			logrus.Warn(errors.Join(err, file.Close()))
		}
	}
	return nil
}

// Running returns the records of the running containers whose ids start with
// the given prefixes, or of all if none is given.
func Running(ids []string) ([]*Record, error) {
	paths, err := recordPaths()
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
		case err == nil:
			all = append(all, r)
		case !errors.Is(err, fs.ErrNotExist): // which means that it has just ended
			return nil, err
		}
	}
	var chosen []*Record
	for _, id := range ids {
		others := func(r *Record) bool { return id == "" || !strings.HasPrefix(r.ID, id) }
		found := slices.DeleteFunc(slices.Clone(all), others)
		switch len(found) {
		case 0:
			return nil, fmt.Errorf("no such container: %q", id)
		case 1:
			chosen = append(chosen, found[0])
		default:
			return nil, fmt.Errorf("more than one running container has an id that starts with %q", id)
		}
	}
	if len(ids) == 0 {
		return all, nil
	}
	return chosen, nil
}
