// Package containers keeps what containers have changed, in a directory for
// each in the store. Other rooms keep more in it: the container's
// configuration, state and log.
//
// It grew from rung 07-overlay's box, adds names, and copes with many commands
// at once and with crashes at any moment.
package containers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"example.com/go-docker/day5-networks/inroot"
	"example.com/go-docker/day5-networks/inventory"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/store"
)

// A Container is a container on disk: its description and, in upper, everything
// that it has changed. As long as it exists, its image and the image's layers
// stay.
type Container struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Image      string    `json:"image"`      // the image's ID
	ImageName  string    `json:"image_name"` // as given to run
	Created    time.Time `json:"created"`
	Args       []string  `json:"args"`
	AutoRemove bool      `json:"remove"` // once nobody holds the lock: half made, or --rm

	Dir  string   `json:"-"` // "" until it exists
	lock *os.File // held while the container is made, runs or is removed
}

// CheckName checks that name is a valid name for a container.
func CheckName(name string) error {
	const others = "_.-"
	const known = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + others
	if len(name) > 64 {
		return errors.New("it is too long: want at most 64 characters")
	}
	if len(name) < 2 || strings.Trim(name, known) != "" || strings.Contains(others, name[:1]) {
		return errors.New("want two or more of a-z A-Z 0-9 _ . -, the first a letter or digit")
	}
	return nil
}

// Create makes the container's directory, with upper, work and merged in it.
// Containers are made and images removed under the same lock, so two containers
// cannot get the same name and the image cannot go away meanwhile.
func Create(s *store.Store, c *Container) (err error) {
	held, err := s.Lock()
	if err != nil {
		return err
	}
	defer held.Close()
	if _, err := s.Resolve(c.Image); err != nil { // rmi was faster
		return err
	}
	others, err := sweep(s)
	if err != nil {
		return err
	}
	if err := checkFree(others, c); err != nil {
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
	if c.lock, err = lock.Create(filepath.Join(c.Dir, inventory.Lock), nil); err != nil {
		return err
	}
	return c.describe()
}

// List returns all containers.
func List(s *store.Store) ([]*Container, error) {
	all, err := readAll(s)
	return slices.DeleteFunc(all, (*Container).isPart), err
}

// isPart reports whether the container is only half made or half removed.
func (c *Container) isPart() bool { return c.Image == "" }

func readAll(s *store.Store) (all []*Container, err error) {
	dirs, err := fs.Glob(os.DirFS(s.Root), "containers/*")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		c, err := read(s.Path(dir))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// read takes a directory without a description for a part of a container. An
// empty description counts as none, because a power cut can leave a new file
// empty.
func read(dir string) (*Container, error) {
	c := &Container{ID: filepath.Base(dir), Dir: dir}
	path := c.path(inventory.Description)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("read %s: %w: if the container is no longer needed, remove its directory", path, err)
	}
	return c, nil
}

// Users returns the IDs of the containers that need an image.
func Users(s *store.Store, imageID string) (ids []string, err error) {
	all, err := List(s)
	for _, c := range all {
		if c.Image == imageID {
			ids = append(ids, c.ID)
		}
	}
	return ids, err
}

// ErrNone means that no container has this name or ID.
var ErrNone = errors.New("no such container")

// Gone returns an error if the container has been removed, or is just being
// removed: its description goes first, then its files.
func (c *Container) Gone() error {
	if _, err := os.Stat(c.path(inventory.Description)); err != nil {
		return fmt.Errorf("%w: %q", ErrNone, c.ID)
	}
	return nil
}

// Find finds a container by name, ID or the start of its ID.
func Find(s *store.Store, ref string) (*Container, error) {
	all, err := List(s)
	if err != nil {
		return nil, err
	}
	var found []*Container
	for _, c := range all {
		if ref != "" && c.Name == ref || c.ID == ref { // most containers have no name
			return c, nil
		}
		if ref != "" && strings.HasPrefix(c.ID, ref) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %q", ErrNone, ref)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("more than one container has an id that starts with %q", ref)
}

// sweep removes what killed commands left: containers half made or half
// removed, and those with --rm. It returns the others. What cannot be removed
// must not stop the next container. The caller holds the store's lock.
func sweep(s *store.Store) (stay []*Container, err error) {
	all, err := readAll(s)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if !c.AutoRemove && !c.isPart() {
			stay = append(stay, c)
			continue
		}
		if err := c.Remove(); errors.Is(err, ErrRunning) {
			stay = append(stay, c)
		} else if err != nil {
			logrus.Warn(err)
		}
	}
	return stay, nil
}

// ErrRunning means that a container cannot be removed.
var ErrRunning = errors.New("it is running: stop it first")

// Remove removes a container that is not running, or that is our own.
func (c *Container) Remove() (err error) {
	if c.Dir == "" {
		return nil
	}
	if c.lock == nil {
		c.lock, err = lock.Try(filepath.Join(c.Dir, inventory.Lock))
		if errors.Is(err, lock.ErrHeld) {
			return fmt.Errorf("remove container %s: %w", c.ID, ErrRunning)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// The description goes first, so that whatever is left after a crash is no
	// longer a container.
	if err := os.Remove(filepath.Join(c.Dir, inventory.Description)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := inroot.RemoveAll(c.Dir); err != nil {
		return fmt.Errorf("remove container %s: %w", c.ID, err)
	}
	if c.lock == nil {
		return nil
	}
	return c.lock.Close()
}
