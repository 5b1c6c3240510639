package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A containerDir is a container on disk: its description and, in upper, all
// that it changed. It stays after the container has ended, for commit, unless
// --rm was given.
type containerDir struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Image   string    `json:"image"` // the image's ID
	Created time.Time `json:"created"`
	Args    []string  `json:"args"`
	Dir     string    `json:"-"`

	lock *os.File // held while the container runs
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}$`)

// createContainerDir makes the directory. Two containers cannot get the same
// name, because making one and looking at all of them happen under one lock.
func (s *store) createContainerDir(c *containerDir) (err error) {
	unlock, err := lockFile(filepath.Join(s.root, "containers.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if c.Name != "" {
		all, err := s.containerDirs()
		if err != nil {
			return err
		}
		for _, other := range all {
			if other.Name == c.Name {
				return fmt.Errorf("the name %q is in use by container %s: remove that with rm, or use another name", c.Name, other.ID)
			}
		}
	}
	c.Dir = filepath.Join(s.root, "containers", c.ID)
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.Dir))
		}
	}()
	for _, name := range []string{"upper", "work", "merged", "volumes"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, name), 0o755); err != nil {
			return err
		}
	}
	if c.lock, err = os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(c.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock container %s: %w", c.ID, err)
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, "container.json"), text, 0o600)
}

// lockFile takes an exclusive lock and waits for it.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

// containerDirs lists all containers. What has no description is a container
// whose making was cut short.
func (s *store) containerDirs() ([]*containerDir, error) {
	paths, err := filepath.Glob(filepath.Join(s.root, "containers", "*", "container.json"))
	if err != nil {
		return nil, err
	}
	var all []*containerDir
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c := &containerDir{Dir: filepath.Dir(path)}
		if err := json.Unmarshal(text, c); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// findContainer finds a container by name, id or the start of its id.
func (s *store) findContainer(ref string) (*containerDir, error) {
	all, err := s.containerDirs()
	if err != nil {
		return nil, err
	}
	var found []*containerDir
	for _, c := range all {
		if c.Name == ref || c.ID == ref {
			return c, nil
		}
		if strings.HasPrefix(c.ID, ref) {
			found = append(found, c)
		}
	}
	switch {
	case ref == "" || len(found) == 0:
		return nil, fmt.Errorf("no such container: %q", ref)
	case len(found) > 1:
		return nil, fmt.Errorf("more than one container has an id that starts with %q", ref)
	}
	return found[0], nil
}

// remove removes a container that does not run.
func (c *containerDir) remove() error {
	if c.lock == nil {
		lock, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			lock.Close()
			return fmt.Errorf("container %s is running: stop it first", c.ID)
		}
		c.lock = lock
	}
	defer c.lock.Close()
	// The description goes first: what is left after a crash is then not a
	// container any more.
	if err := os.Remove(filepath.Join(c.Dir, "container.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		return fmt.Errorf("remove container %s: %w", c.ID, err)
	}
	return nil
}
