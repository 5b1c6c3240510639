package shim

import (
	"os"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/wire"
)

// changeNetwork connects the container to one more network, or takes it off one.
func (s *shim) changeNetwork(ask wire.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errNotRunning
	}
	return s.network.Change(ask, s.process.Netns)
}

// send sends a descriptor of something of the container.
func (s *shim) send(client *wire.Conn, open func(*container.Process) (*os.File, error)) {
	s.mu.Lock()
	process := s.process
	file, err := (*os.File)(nil), errNotRunning
	if process != nil {
		file, err = open(process)
	}
	s.mu.Unlock()
	if err != nil {
		s.answer(client, err)
		return
	}
	defer file.Close()
	_ = client.SendJSON(wire.Answer, wire.Reply{}, file)
}
