package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/join"
	"example.com/go-docker/day4-lifecycle/state"
	"example.com/go-docker/day4-lifecycle/streams"
	"example.com/go-docker/day4-lifecycle/wire"
)

// exec runs one more command in the container. It goes on if its client goes.
func (s *shim) exec(client *wire.Conn, text []byte, files []*os.File) {
	var c join.Command
	if err := json.Unmarshal(text, &c); err != nil || len(files) != 3 || len(c.Args) == 0 {
		s.answer(client, fmt.Errorf("not a request to execute a command: %v", err))
		return
	}
	process, master, err := s.join(c, [3]*os.File(files))
	for _, f := range files {
		_ = f.Close() // the command has its own; ours would keep a pipe open
	}
	s.answer(client, err)
	if err != nil {
		return
	}
	status, err := streams.Session(client, process, master)
	reply(client, err, status, container.RuntimeError)
}

// join holds the container while the command is started: its cgroup must not be
// removed then, with a thread of ours in it.
func (s *shim) join(c join.Command, files [3]*os.File) (*os.Process, *os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.runs(); err != nil {
		return nil, nil, err
	}
	if s.state.Status == state.Paused {
		return nil, nil, errors.New("the container is paused: unpause it first")
	}
	target := join.Target{Container: &s.config.Container, Init: s.process.PIDFD(), Cgroup: s.cgroup}
	return target.Start(c, files)
}
