package lifecycle

import (
	"errors"
	"io"
	"os"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/lock"
	"example.com/go-docker/day4-lifecycle/shim"
	"example.com/go-docker/day4-lifecycle/state"
	"example.com/go-docker/day4-lifecycle/wire"
)

// Start starts a container that does not run. With attach its streams come on
// the connection, for Follow; without, the connection is nil. For one that runs
// already, started is false.
func (c *Container) Start(attach bool, signals *container.Signals) (conn *wire.Conn, started bool, err error) {
	held, err := c.lock()
	switch live := errors.Is(err, lock.ErrHeld) && c.State.Live(); {
	case live && c.State.Status == state.Paused:
		return nil, false, errors.New("container " + c.ID + " is paused: unpause it instead")
	case live:
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	config, err := state.ReadConfig(c.Dir)
	if err != nil {
		return nil, false, errors.Join(err, held.Close())
	}
	conn, err = Launch(c.Container, config.AutoRemove, held, attach, signals)
	return conn, err == nil, err
}

// Launch starts a container whose lock the caller has; the lock is gone in any
// case. Signals that come meanwhile are for the container. With autoRemove it
// goes when it has run.
func Launch(dir *containers.Container, autoRemove bool, held *os.File, attach bool, signals *container.Signals) (*wire.Conn, error) {
	if err := dir.SetAutoRemove(autoRemove); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	conn, process, err := shim.Spawn(dir.Dir, held, attach)
	if err := errors.Join(err, held.Close()); err != nil {
		return nil, err
	}
	var reply wire.Reply
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		reply, err = conn.ReceiveReply()
	}()
	for waiting := true; waiting; {
		select {
		case sig := <-signals.Caught():
			_ = process.Signal(sig) // it may just have ended
		case <-answered:
			waiting = false
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		err = container.StatusError{Status: container.RuntimeError, Err: errors.New("the container's shim was killed while it started")}
	case err == nil && reply.Error != "":
		err = container.StatusError{Status: reply.Status, Err: errors.New(reply.Error)}
	}
	if err != nil || !attach {
		err = errors.Join(err, conn.Close())
		conn = nil
	}
	return conn, err
}
