package lifecycle

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/lock"
)

// Remove removes a container; one that runs, or that somebody else removes
// first, only by force.
func (c *Container) Remove(force bool) error {
	held, err := c.lock()
	for range 10 { // somebody may start it again
		if !errors.Is(err, lock.ErrHeld) || !c.State.Live() {
			break
		}
		if !force {
			return fmt.Errorf("cannot remove container %s: it is %s: stop it first, or use -f", c.ID, c.State.Status)
		}
		if err := c.end(); err != nil {
			return err
		}
		held, err = c.lock()
	}
	if force && errors.Is(err, containers.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	c.TakeOver(held)
	return c.Container.Remove()
}

// end ends a container by all means. A shim that does not answer is killed: the
// container dies with it. One that somebody has stopped never will.
func (c *Container) end() error {
	answered := make(chan error, 1)
	asked := *c // which the answer brings up to date
	go func() { answered <- asked.Stop(syscall.SIGKILL, 0) }()
	for end := time.Now().Add(patience); time.Now().Before(end) && !c.Deaf(); {
		select {
		case err := <-answered:
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := c.State.KillShim(); !errors.Is(err, unix.ESRCH) { // it was killed by another
		return err
	}
	return nil
}
