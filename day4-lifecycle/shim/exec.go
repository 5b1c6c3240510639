package shim

import (
	"encoding/json"
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
		s.answer(client, fmt.Errorf("not a request to execute a command: %.100q with %d descriptors", text, len(files)))
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

// join starts the command. What it opens in the container may hang, in a file
// system that does not answer: that must not hold up others.
func (s *shim) join(c join.Command, files [3]*os.File) (*os.Process, *os.File, error) {
	s.mu.Lock()
	target, err := join.Target{Container: &s.config.Container, Cgroup: s.cgroup, Held: &s.mu, Gone: s.gone}, s.runs()
	if err == nil {
		target.Init, err = s.process.PIDFD()
	}
	s.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	target.Paused = func() bool { return s.state.Status == state.Paused }
	return target.StartWhile(c, files)
}
