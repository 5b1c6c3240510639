// Package lifecycle is what can be done with containers that outlive the
// command that has started them: the clients' side of their shims, and what is
// true of those that have none.
//
// It grew from the steps 06-exec and 07-stop, plus: whatever has been killed,
// and whenever, what is said here of a container is true, and what it has left
// is removed.
package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/go-docker/day4-lifecycle/cgroup"
	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/inventory"
	"example.com/go-docker/day4-lifecycle/lock"
	"example.com/go-docker/day4-lifecycle/state"
	"example.com/go-docker/day4-lifecycle/store"
	"example.com/go-docker/day4-lifecycle/wire"
)

// A Container is one that exists, and how it is.
type Container struct {
	*containers.Container
	State *state.State
}

// ErrNotRunning says that something needs a container that runs.
var ErrNotRunning = errors.New("the container is not running")

// patience is how long another command, or a shim at its end, may keep us from
// what takes it moments.
const patience = 10 * time.Second

// List returns all containers, the newest first. What killed commands and
// shims have left it removes.
func List(s *store.Store) ([]*Container, error) {
	if err := cgroup.Sweep(); err != nil {
		return nil, err
	}
	dirs, err := containers.Sweep(s)
	if err != nil {
		return nil, err
	}
	var all []*Container
	for _, dir := range dirs {
		c, err := look(dir)
		if err != nil {
			return nil, err
		}
		if c != nil {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *Container) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

// look finds out how a container is; nil if it is gone, or only being made.
func look(dir *containers.Container) (*Container, error) {
	now, err := read(dir.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Join(dir.Dir, inventory.Description)); err != nil || dir.AutoRemove {
			return nil, nil
		}
		// A container of day 3, whose store this may be.
		return &Container{dir, &state.State{Status: state.Exited, Error: "it was not made by this program"}}, nil
	case err != nil:
		return nil, fmt.Errorf("container %s: %w", dir.ID, err)
	}
	c := &Container{dir, now}
	if now.Settled {
		err = c.removeLeft()
	}
	return c, err
}

// removeLeft removes what a shim has left that has just been found dead, unless
// somebody has started the container again meanwhile: what there is then is the
// new shim's. The dead one's cgroup is free a moment later than the container,
// because the kernel closes its files one by one.
func (c *Container) removeLeft() error {
	ctx, stop := context.WithTimeoutCause(context.Background(), patience, fmt.Errorf("container %s: what its dead shim has left cannot be removed: %w", c.ID, lock.ErrHeld))
	defer stop()
	return lock.Poll(ctx, func() (bool, error) {
		err := cgroup.RemoveLeft(c.ID)
		if !errors.Is(err, lock.ErrHeld) {
			return true, err
		}
		if err = c.look(); errors.Is(err, fs.ErrNotExist) { // it has been removed
			return true, nil
		}
		return c.State.Live(), err
	})
}

// Find finds a container by its name, its id or the start of that.
func Find(s *store.Store, ref string) (*Container, error) {
	if err := cgroup.Sweep(); err != nil {
		return nil, err
	}
	dir, err := containers.Find(s, ref)
	if errors.Is(err, containers.ErrNone) { // but what a killed shim or command has left of it may be there
		_, errSweep := containers.Sweep(s)
		err = errors.Join(err, errSweep)
	}
	if err != nil {
		return nil, err
	}
	c, err := look(dir)
	if err == nil && c != nil && dir.AutoRemove && !c.State.Live() { // its shim was killed, or it is starting
		if err = dir.Remove(); err == nil {
			c = nil
		} else if errors.Is(err, containers.ErrRunning) {
			err = nil
		}
	}
	if c == nil && err == nil {
		err = fmt.Errorf("%w: %q: it has just been removed", containers.ErrNone, ref)
	}
	return c, err
}

// look brings what we know of the container up to date.
func (c *Container) look() error {
	now, err := read(c.Dir)
	if err == nil {
		c.State = now
	}
	return err
}

// lock gets the lock of a container that has no shim. One that has, and one
// that is being removed, are errors: the first Is lock.ErrHeld.
func (c *Container) lock() (held *os.File, err error) {
	ctx, stop := context.WithTimeoutCause(context.Background(), patience, fmt.Errorf("container %s: another command is busy with it: %w", c.ID, lock.ErrHeld))
	defer stop()
	began := time.Now()
	err = lock.Poll(ctx, func() (bool, error) {
		held, err = state.TryLock(c.Dir)
		if err == nil {
			if err = cgroup.RemoveLeft(c.ID); err != nil {
				err = errors.Join(err, held.Close())
			}
		}
		if !errors.Is(err, lock.ErrHeld) {
			return true, err
		}
		if errLook := c.look(); errLook != nil || c.State.Live() {
			return true, cmp.Or(errLook, err)
		}
		if time.Since(began) > time.Second {
			c.hurry()
		}
		return false, nil // a shim at its end, or a command that looks
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %s has just been removed", containers.ErrNone, c.ID)
	}
	return held, err
}

// hurry has a shim at its end not wait for clients that do not read.
func (c *Container) hurry() {
	conn, err := wire.Dial(filepath.Join(c.Dir, state.SocketFile))
	if err == nil {
		_ = conn.SendJSON(wire.Ask, wire.Request{Do: wire.DoHurry}) // it may have ended
		_ = conn.Close()
	}
}

// Stop ends a container: with a signal, 0 for the one that the image asks for,
// and after so many seconds, unless they are negative, with SIGKILL. It is no
// error if it does not run.
func (c *Container) Stop(sig syscall.Signal, seconds int) error {
	_, err := c.ask(wire.Request{Do: wire.DoStop, Signal: int(sig), Seconds: seconds})
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	return err
}

// Kill sends a signal.
func (c *Container) Kill(sig syscall.Signal) error {
	_, err := c.ask(wire.Request{Do: wire.DoKill, Signal: int(sig)})
	return err
}

// Pass passes on a signal of the user who follows the container. It may have ended.
func (c *Container) Pass(sig syscall.Signal) {
	now := *c
	if now.look() == nil {
		_ = now.Kill(sig)
	}
}

// Pause stops all of the container's processes, or lets them go on.
func (c *Container) Pause(freeze bool) error {
	do := wire.DoUnpause
	if freeze {
		do = wire.DoPause
	}
	_, err := c.ask(wire.Request{Do: do})
	return err
}

// Wait waits until the container does not run, and returns its exit status.
func (c *Container) Wait() (int, error) {
	for {
		reply, err := c.ask(wire.Request{Do: wire.DoWait})
		switch {
		case !errors.Is(err, ErrNotRunning), errors.Is(err, errRemoved):
			return reply.Status, err
		case !c.State.Live():
			return c.State.ExitCode, nil
		}
		// Its end has passed us by: somebody has started it again.
	}
}

// Root opens the container's root, as its processes see it.
func (c *Container) Root() (*os.File, error) {
	reply, err := c.ask(wire.Request{Do: wire.DoRoot})
	return reply.File, err
}
