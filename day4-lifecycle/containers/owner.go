package containers

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/go-docker/day4-lifecycle/inventory"
	"example.com/go-docker/day4-lifecycle/store"
)

// describe writes the description. As everywhere in the store, a file gets its
// name last, when its content is complete.
func (c *Container) describe() error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	description := filepath.Join(c.Dir, inventory.Description)
	if err := os.WriteFile(description+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(description+".new", description)
}

// SetAutoRemove says whether to remove the container once nobody holds its lock
// any more. The caller holds it.
func (c *Container) SetAutoRemove(remove bool) error {
	if c.AutoRemove == remove {
		return nil
	}
	c.AutoRemove = remove
	if err := c.describe(); err != nil {
		return fmt.Errorf("describe container %s: %w", c.ID, err)
	}
	return nil
}

// HandOver gives the lock to the caller, who closes it or passes it to another
// process.
func (c *Container) HandOver() *os.File {
	file := c.lock
	c.lock = nil
	return file
}

// TakeOver is for a caller that got the lock in another way. Remove closes it.
func (c *Container) TakeOver(lock *os.File) { c.lock = lock }

// Sweep removes what killed commands and shims have left, and returns all the
// remaining containers.
func Sweep(s *store.Store) ([]*Container, error) {
	held, err := s.Lock()
	if err != nil {
		return nil, err
	}
	defer held.Close()
	return sweep(s)
}

// Rename gives a container another name.
func Rename(s *store.Store, c *Container, name string) error {
	held, err := s.Lock()
	if err != nil {
		return err
	}
	defer held.Close()
	all, err := sweep(s)
	if err != nil {
		return err
	}
	now, err := read(c.Dir) // it may have changed since it was found
	if err != nil {
		return err
	}
	if now.isPart() {
		return fmt.Errorf("%w: %s has just been removed: %w", ErrNone, c.ID, fs.ErrNotExist)
	}
	if now.Name == name {
		return fmt.Errorf("rename container %s: %q is its name already", c.ID, name)
	}
	now.Name = name
	if err := checkFree(all, now); err != nil {
		return err
	}
	return now.describe()
}

// checkFree makes sure that no other container has the name.
func checkFree(others []*Container, c *Container) error {
	for _, other := range others {
		if c.Name != "" && other.ID != c.ID && (other.Name == c.Name || other.ID == c.Name) {
			return fmt.Errorf("the name %q is in use by container %s: remove that with rm, or use another name", c.Name, other.ID)
		}
	}
	return nil
}
