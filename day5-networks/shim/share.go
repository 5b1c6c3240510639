package shim

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/wire"
)

// changeNetwork connects the container to one more network, or takes it off one.
func (s *shim) changeNetwork(ask wire.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.runs(); err != nil {
		return err
	}
	return s.network.Change(ask, s.process.Netns)
}

// send sends a descriptor of something of the container.
func (s *shim) send(client *wire.Conn, open func(*container.Process) (*os.File, error)) {
	var file *os.File
	s.mu.Lock()
	err := s.runs()
	if err == nil {
		file, err = open(s.process)
	}
	s.mu.Unlock()
	if errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrNotExist) { // a zombie: its end is about to be recorded
		err = errNotRunning
	}
	if err != nil {
		s.answer(client, err)
		return
	}
	defer file.Close()
	_ = client.SendJSON(wire.Answer, wire.Reply{}, file)
}
