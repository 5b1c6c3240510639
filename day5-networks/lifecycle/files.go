package lifecycle

import (
	"errors"
	"os"
	"time"

	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/state"
)

// Files opens the container's root, for a path in it. That of one that does not
// run is mounted for as long as the descriptor is open, and it will not start
// meanwhile. The caller calls release when done, which fails if the container
// was removed meanwhile, and files with it.
func (c *Container) Files(name string) (root *os.File, release func() error, err error) {
	held, err := c.askOrLock(func() (err error) {
		root, err = c.Root()
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if held == nil {
		return root, func() error { return errors.Join(root.Close(), c.Gone()) }, nil
	}
	config, err := state.ReadConfig(c.Dir)
	if err == nil {
		err = config.Container.Root.OutsideVolumes(name)
	}
	if err == nil {
		root, err = config.Container.Root.Overlay.MountApart()
	}
	if err != nil {
		return nil, nil, errors.Join(err, held.Close())
	}
	return root, func() error { return errors.Join(root.Close(), held.Close()) }, nil
}

// askOrLock asks the shim for something, or returns the lock of a container that
// has none.
func (c *Container) askOrLock(ask func() error) (held *os.File, err error) {
	for {
		if c.State.Live() {
			if err := ask(); !errors.Is(err, ErrNotRunning) {
				return nil, err
			}
		}
		held, err = c.lock()
		if !errors.Is(err, lock.ErrHeld) || !c.State.Live() {
			return held, err
		}
		time.Sleep(time.Millisecond) // it has just been started, or its end is just being recorded
	}
}
