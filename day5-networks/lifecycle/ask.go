package lifecycle

import (
	"cmp"
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
		if gone == nil || errors.Is(gone, errRemoved) {
			return fmt.Errorf("container %s: %w", c.ID, cmp.Or(gone, ErrNotRunning))
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
	reply, err := conn.AskWhile(func() error { return c.hears(request.Do) }, patience, request, files...)
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

// hears is nil for a shim that can still answer. One that somebody has stopped,
// with SIGSTOP, cannot; only wait goes on, which may take any time.
func (c *Container) hears(request string) error {
	if request == wire.DoWait || !c.Deaf() {
		return nil
	}
	return fmt.Errorf("it is stopped, and does not answer: kill -CONT %[1]d lets it go on, kill -9 %[1]d ends the container", c.State.ShimPID)
}

// read finds out how a container is. Of one whose state is damaged, its shim
// still knows, and writes it anew; of a shim that does not, we learn at least
// which process it is.
func read(dir string) (*state.State, error) {
	now, err := state.Read(dir)
	if err == nil && now.Lost && now.Live() && wire.Record(filepath.Join(dir, state.SocketFile), now.Claim) {
		return state.Read(dir)
	}
	return now, err
}

// Attach connects to the container's streams.
func (c *Container) Attach(stdin bool) (*wire.Conn, error) {
	conn, _, err := c.open(wire.Request{Do: wire.DoAttach, Stdin: stdin})
	return conn, err
}

// Exec runs one more command in the container, with these standard streams
// unless it has a terminal, and returns when it runs: how it goes on comes on
// the connection, for Follow. The shim is its parent: it lives on if we do not.
func (c *Container) Exec(command join.Command, stdio [3]*os.File, signals *container.Signals) (*wire.Conn, error) {
	text, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	var conn *wire.Conn
	asked := *c // which the answer may bring up to date
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		conn, _, err = asked.open(wire.Request{Do: wire.DoExec, Command: text}, stdio[:]...)
	}()
	var early []byte // signals for the command
	for {
		select {
		case sig := <-signals.Caught():
			if c.Deaf() {
				return nil, container.StatusError{Status: 128 + int(sig.(syscall.Signal)), Err: fmt.Errorf("container %s: its shim (process %d) is stopped, and answers nobody", c.ID, c.State.ShimPID)}
			}
			early = append(early, byte(sig.(syscall.Signal)))
		case <-answered:
			for _, sig := range early {
				if err == nil {
					_ = conn.Send(wire.Signal, []byte{sig})
				}
			}
			return conn, err
		}
	}
}

// Deaf tells whether the shim does not hear, because somebody has stopped it.
func (c *Container) Deaf() bool { return state.Stopped(c.State.ShimPID) }
