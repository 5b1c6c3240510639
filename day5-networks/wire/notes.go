package wire

import (
	"sync"

	"github.com/sirupsen/logrus"
)

// A Note is what a shim has logged. A shim has no standard error.
type Note struct {
	Level uint32 // logrus's
	Text  string
}

// Notes keep what is logged until the user can see it.
type Notes struct {
	mu   sync.Mutex
	list []Note
	told bool
}

// Levels makes Notes a logrus hook.
func (n *Notes) Levels() []logrus.Level { return logrus.AllLevels }

// Fire keeps one entry.
func (n *Notes) Fire(e *logrus.Entry) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.told {
		n.list = append(n.list, Note{Level: uint32(e.Level), Text: e.Message})
	}
	return nil
}

// Take returns what was logged so far. Anything later is discarded.
func (n *Notes) Take() []Note {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = true
	return n.list
}
