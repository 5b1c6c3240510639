package lifecycle

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/moby/term"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/join"
	"example.com/go-docker/day5-networks/terminal"
	"example.com/go-docker/day5-networks/wire"
)

// Exec runs one more command in the container, with these standard streams,
// and returns its exit status. The shim is its parent: it goes on if we are
// killed. With detach Exec returns as soon as it runs.
func (c *Container) Exec(command join.Command, stdio [3]*os.File, signals *container.Signals, detach bool) (status int, err error) {
	var t *terminal.Terminal
	var input *os.File
	if command.TTY && !detach {
		var streams exec.Cmd
		if t, err = terminal.Open(&streams); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, t.Close()) }()
		input, stdio = stdio[0], [3]*os.File{t.Slave, t.Slave, t.Slave}
	}
	text, err := json.Marshal(command)
	if err != nil {
		return 0, err
	}
	conn, _, err := c.open(wire.Request{Do: wire.DoExec, Command: text}, stdio[:]...)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if detach {
		return 0, nil
	}
	if t != nil {
		if !term.IsTerminal(input.Fd()) {
			input = nil
		}
		t.Attach(input)
	}
	go func() {
		for sig := range signals.Caught() {
			_ = conn.Send(wire.Signal, []byte{byte(signals.Escalate(sig).(syscall.Signal))})
		}
	}()
	reply, err := receive(conn)
	switch {
	case errors.Is(err, io.EOF):
		return 137, nil // the shim was killed, and with it all that was in the container
	case err == nil && reply.Error != "":
		err = container.StatusError{Status: reply.Status, Err: errors.New(reply.Error)}
	}
	return reply.Status, err
}
