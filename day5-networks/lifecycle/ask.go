package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/join"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/wire"
)

// dial connects to the container's shim. The error Is ErrNotRunning if it has
// none.
func (c *Container) dial() (*wire.Conn, error) {
	if !c.State.Live() {
		return nil, c.notRunning()
	}
	conn, err := wire.Dial(filepath.Join(c.Dir, state.SocketFile))
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, c.ended(err)
	}
	return conn, err
}

func (c *Container) notRunning() error { return fmt.Errorf("container %s: %w", c.ID, ErrNotRunning) }

// errRemoved says so of one that was removed when it ended.
var errRemoved = fmt.Errorf("%w: it has just been removed", ErrNotRunning)

// ended explains why a shim does not answer: as a rule it has ended, and then
// the container has. One that was killed is gone a moment later: a child that it
// was just starting still has its lock open. And somebody may have started the
// container again, with another shim.
func (c *Container) ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		asked := *c.State
		gone := lock.Poll(ctx, func() (bool, error) {
			err := c.look()
			if errors.Is(err, fs.ErrNotExist) {
				return false, errRemoved
			}
			return err == nil && (!c.State.Live() || c.State.ShimPID != asked.ShimPID || c.State.ShimStart != asked.ShimStart), nil
		})
		switch {
		case gone == nil:
			return c.notRunning()
		case errors.Is(gone, errRemoved):
			return fmt.Errorf("container %s: %w", c.ID, errRemoved)
		}
	}
	return fmt.Errorf("container %s: ask its shim (process %d): %w", c.ID, c.State.ShimPID, err)
}

// ask has the shim do one thing.
func (c *Container) ask(request wire.Request) (wire.Reply, error) {
	conn, reply, err := c.open(request)
	if err != nil {
		return wire.Reply{}, err
	}
	return reply, conn.Close()
}

// open has the shim do something, and returns its first reply and the
// connection. A reply that is an error is one, with the status it has.
func (c *Container) open(request wire.Request, files ...*os.File) (*wire.Conn, wire.Reply, error) {
	conn, err := c.dial()
	if err != nil {
		return nil, wire.Reply{}, err
	}
	reply, err := conn.Ask(request, files...)
	switch {
	case err != nil:
		err = c.ended(err)
	case reply.Error == ErrNotRunning.Error(): // it ends just now
		err = c.notRunning()
	case reply.Error != "":
		err = container.StatusError{Status: reply.Status, Err: fmt.Errorf("container %s: %s", c.ID, reply.Error)}
	}
	if err != nil {
		return nil, reply, errors.Join(err, conn.Close())
	}
	return conn, reply, nil
}

// Attach connects to the container's streams.
func (c *Container) Attach(stdin bool) (*wire.Conn, error) {
	conn, _, err := c.open(wire.Request{Do: wire.DoAttach, Stdin: stdin})
	return conn, err
}

// Exec runs one more command in the container, with these standard streams
// unless it has a terminal, and returns when it runs: how it goes on comes on
// the connection, for Follow. The shim is its parent: it lives on if we do not.
func (c *Container) Exec(command join.Command, stdio [3]*os.File, signals *container.Signals) (conn *wire.Conn, err error) {
	text, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		conn, _, err = c.open(wire.Request{Do: wire.DoExec, Command: text}, stdio[:]...)
	}()
	var early []byte // signals for the command
	signalsUntil(answered, signals, func(sig os.Signal) { early = append(early, byte(sig.(syscall.Signal))) })
	for _, sig := range early {
		if err == nil {
			_ = conn.Send(wire.Signal, []byte{sig})
		}
	}
	return conn, err
}

// signalsUntil handles the signals that come while an answer is awaited.
func signalsUntil(answered <-chan struct{}, signals *container.Signals, handle func(os.Signal)) {
	for {
		select {
		case sig := <-signals.Caught():
			handle(sig)
		case <-answered:
			return
		}
	}
}
