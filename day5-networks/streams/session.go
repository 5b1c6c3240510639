package streams

import (
	"os"
	"syscall"
	"time"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/wire"
)

// Session looks after a process that exec has started until it ends, and
// returns its status. The client sends signals and, if master is not nil, input
// for its terminal. The process keeps running if the client goes away.
func Session(client *wire.Conn, process *os.Process, master *os.File) (status int, err error) {
	var terminal *Streams
	if master != nil {
		var clients Clients
		clients.Add(client)
		terminal = &Streams{stdin: master, output: []*output{{File: master, kind: wire.Stdout, more: time.Second}}}
		terminal.Copy(nil, &clients)
	}
	client.Listen(func(kind wire.Kind, text []byte) {
		if kind == wire.Signal && len(text) == 1 {
			_ = process.Signal(syscall.Signal(text[0])) // it may just have ended
		} else if terminal != nil {
			terminal.Typed(kind, text, true)
		}
	})
	ended, err := process.Wait()
	if terminal != nil {
		terminal.Drain()
	}
	if err != nil {
		return 0, err
	}
	return container.StatusOf(ended.Sys().(syscall.WaitStatus)), nil
}
