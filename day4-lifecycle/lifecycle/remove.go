package lifecycle

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/lock"
	"example.com/go-docker/day4-lifecycle/state"
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
	if err := c.KillShim(); !errors.Is(err, unix.ESRCH) { // it was killed by another
		return err
	}
	return nil
}

// KillShim kills a shim: a process with the number that it has recorded, and
// which began when it did.
func (c *Container) KillShim() error {
	s := c.State
	fd, err := unix.PidfdOpen(s.ShimPID, 0)
	if err != nil {
		return fmt.Errorf("open the shim, process %d: %w", s.ShimPID, err)
	}
	defer unix.Close(fd)
	// Opened first, asked afterwards.
	began, err := state.StartTime(s.ShimPID)
	boot, errBoot := state.BootID()
	if err != nil || errBoot != nil || began != s.ShimStart || boot != s.BootID {
		return fmt.Errorf("process %d is not the container's shim any more: %w", s.ShimPID, errors.Join(unix.ESRCH, errBoot))
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("kill the shim, process %d: %w", s.ShimPID, err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); { // its pidfd can then be "read"
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return fmt.Errorf("the shim, process %d, does not die", s.ShimPID)
}
