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

	"example.com/go-docker/day4-lifecycle/image"
	"golang.org/x/sys/unix"
)

// A Container is a container on disk: its description and, in upper, all
// that it changed. What else is in the directory is for other rooms: its
// configuration, its state, its log.
type Container struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Image     string    `json:"image"`      // the image's ID
	ImageName string    `json:"image_name"` // as it was given to run
	Created   time.Time `json:"created"`
	Args      []string  `json:"args"`
	Dir       string    `json:"-"`

	lock *os.File
}

// A regular expression is compiled when it is needed: what a package does to
// start, both we and init do each time.
func ValidName(name string) bool { return image.Matches(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}$`, name) }

// CreateContainer makes the directory, with what else prepare puts there; the
// lock in it is the caller's, see Unlock. Two containers cannot get the same
// name, because making one and looking at all of them happen under one lock.
func (s *Store) CreateContainer(c *Container, prepare func() error) (err error) {
	unlock, err := lockFile(s.Path("containers.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.sweepContainers(); err != nil {
		return err
	}
	if err := s.checkName(c); err != nil {
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
	if err := prepare(); err != nil {
		return err
	}
	return c.describe()
}

// describe writes the description. As everywhere in the store, the name comes
// last, and with all of its content.
func (c *Container) describe() error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	description := filepath.Join(c.Dir, "container.json")
	if err := os.WriteFile(description+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(description+".new", description)
}

// Rename gives a container another name.
func (s *Store) Rename(c *Container, name string) error {
	unlock, err := lockFile(s.Path("containers.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(c.Dir, "container.json")); err != nil {
		return fmt.Errorf("rename container %s: it has just been removed: %w", c.ID, err)
	}
	c.Name = name
	if err := s.checkName(c); err != nil {
		return err
	}
	return c.describe()
}

// checkName makes sure that no other container has the name.
func (s *Store) checkName(c *Container) error {
	if c.Name == "" {
		return nil
	}
	all, _, err := s.Containers()
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID != c.ID && (other.Name == c.Name || other.ID == c.Name) {
			return fmt.Errorf("the name %q is in use by container %s: remove that with rm, or use another name", c.Name, other.ID)
		}
	}
	return nil
}

// SweepContainers removes what killed commands left: containers whose making
// or removing was cut short.
func (s *Store) SweepContainers() error {
	unlock, err := lockFile(s.Path("containers.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	return s.sweepContainers()
}

// sweepContainers is for who holds the lock on making containers.
func (s *Store) sweepContainers() error {
	_, leftovers, err := s.Containers()
	if err != nil {
		return err
	}
	for _, id := range leftovers {
		c := &Container{ID: id, Dir: s.Path("containers", id)}
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

// Containers lists all containers. What has no description is not one, yet or
// any more, and its id is in leftovers. An empty one is what a power cut can
// make of a new file.
func (s *Store) Containers() (all []*Container, leftovers []string, err error) {
	entries, err := os.ReadDir(s.Path("containers"))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		c := &Container{Dir: s.Path("containers", e.Name())}
		path := filepath.Join(c.Dir, "container.json")
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
			leftovers = append(leftovers, e.Name())
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal(text, c); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w: if the container is of no use any more, remove its directory", path, err)
		}
		all = append(all, c)
	}
	return all, leftovers, nil
}

// ErrNoContainer says that a name or an id is of no container.
var ErrNoContainer = errors.New("no such container")

// FindContainer finds a container by name, id or the start of its id.
func (s *Store) FindContainer(ref string) (*Container, error) {
	all, _, err := s.Containers()
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
		return nil, fmt.Errorf("%w: %q: there is %s", ErrNoContainer, ref, strings.Join(there, ", "))
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

// Unlock lets go of the lock, or hands it over: what is to be closed then is
// the caller's.
func (c *Container) Unlock() *os.File {
	file := c.lock
	c.lock = nil
	return file
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
