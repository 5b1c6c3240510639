package shim

import (
	"os"
	"sync"

	"github.com/sirupsen/logrus"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/wire"
)

// notes keeps what is logged until the user can be told.
type notes struct {
	mu   sync.Mutex
	list []wire.Note
	told bool
}

// Levels makes it a hook of logrus.
func (n *notes) Levels() []logrus.Level { return logrus.AllLevels }

// Fire keeps one entry.
func (n *notes) Fire(e *logrus.Entry) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.told {
		n.list = append(n.list, wire.Note{Level: uint32(e.Level), Text: e.Message})
	}
	return nil
}

// take returns what was logged; what comes later is for nobody.
func (n *notes) take() []wire.Note {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = true
	return n.list
}

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
