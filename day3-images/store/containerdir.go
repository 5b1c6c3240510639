package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.com/go-docker/day3-images/image"
	"golang.org/x/sys/unix"
)

// A Container is a container on disk: its description and, in upper, all
// that it changed. It stays after the container has ended, for commit, unless
// --rm was given.
type Container struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Image      string    `json:"image"` // the image's ID
	Created    time.Time `json:"created"`
	Args       []string  `json:"args"`
	AutoRemove bool      `json:"remove"` // --rm
	Dir        string    `json:"-"`

	lock *os.File // held while the container runs
}

// A regular expression is compiled when it is needed: what a package does to
// start, both we and init do each time.
func ValidName(name string) bool { return image.Matches(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}$`, name) }

// CreateContainer makes the directory. Two containers cannot get the same
// name, because making one and looking at all of them happen under one lock.
func (s *Store) CreateContainer(c *Container) (err error) {
	unlock, err := lockFile(s.Path("containers.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.sweepContainers(); err != nil {
		return err
	}
	if err := s.checkName(c.Name); err != nil {
		return err
	}
	c.Dir = s.Path("containers", c.ID)
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.Dir))
		}
	}()
	for _, name := range []string{"upper", "work", "merged"} {
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
	// As everywhere in the store, the name comes last, and with all of its content.
	description := filepath.Join(c.Dir, "container.json")
	if err := os.WriteFile(description+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(description+".new", description)
}

func (s *Store) checkName(name string) error {
	if name == "" {
		return nil
	}
	all, err := s.containerDirs()
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Name == name {
			return fmt.Errorf("the name %q is in use by container %s: remove that with rm, or use another name", name, other.ID)
		}
	}
	return nil
}

// sweepContainers removes what killed commands left: containers whose making or
// removing was cut short, and those that were to go with --rm. The caller holds
// the lock on making containers.
func (s *Store) sweepContainers() error {
	all, err := s.containerDirs()
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, c := range all {
		keep[c.ID] = !c.AutoRemove
	}
	entries, err := os.ReadDir(s.Path("containers"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if keep[e.Name()] {
			continue
		}
		c := &Container{ID: e.Name(), Dir: s.Path("containers", e.Name())}
		if err := c.TryLock(); errors.Is(err, errRunning) {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := c.Remove(); err != nil {
			return err
		}
	}
	return nil
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

// containerDirs lists all containers. What has no description is not one, yet
// or any more. An empty one is what a power cut can make of a new file.
func (s *Store) containerDirs() ([]*Container, error) {
	entries, err := os.ReadDir(s.Path("containers"))
	if err != nil {
		return nil, err
	}
	var all []*Container
	for _, e := range entries {
		c := &Container{Dir: s.Path("containers", e.Name())}
		path := filepath.Join(c.Dir, "container.json")
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, c); err != nil {
			return nil, fmt.Errorf("read %s: %w: if the container is of no use any more, remove its directory", path, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// FindContainer finds a container by name, id or the start of its id.
func (s *Store) FindContainer(ref string) (*Container, error) {
	all, err := s.containerDirs()
	if err != nil {
		return nil, err
	}
	var found []*Container
	var there []string
	for _, c := range all {
		there = append(there, strings.TrimSpace(c.ID+" "+c.Name))
		if c.Name == ref || c.ID == ref {
			return c, nil
		}
		if strings.HasPrefix(c.ID, ref) {
			found = append(found, c)
		}
	}
	switch {
	case ref == "" || len(found) == 0:
		if there == nil {
			there = []string{"none"}
		}
		return nil, fmt.Errorf("no such container: %q: there is %s", ref, strings.Join(there, ", "))
	case len(found) > 1:
		return nil, fmt.Errorf("more than one container has an id that starts with %q", ref)
	}
	return found[0], nil
}

var errRunning = errors.New("it is running: stop it first")

// TryLock makes sure that the container does not run, and will not start.
func (c *Container) TryLock() error {
	lock, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		lock.Close()
		return errRunning
	}
	c.lock = lock
	return nil
}

// Remove removes a container that does not run.
func (c *Container) Remove() error {
	if c.Dir == "" { // it was never made
		return nil
	}
	if c.lock != nil {
		defer c.lock.Close()
	}
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
