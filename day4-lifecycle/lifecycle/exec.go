package lifecycle

import (
	"encoding/json"
	"os"
	"syscall"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/join"
	"example.com/go-docker/day4-lifecycle/wire"
)

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
	for {
		select {
		case sig := <-signals.Caught():
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
