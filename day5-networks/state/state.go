// Package state keeps on the disk what a container is and how it is: its
// configuration, written once, and its state, written by the one process that
// holds its lock. It grew from the steps 04-detached and 07-stop, whose pid and
// status files it replaces, plus: a boot id, start times, restarts, full disks.
//
// The lock is in the container's directory, and its shim holds it, flock(2),
// from before the container starts until the shim has ended, whatever ends it.
// So a state that speaks of a shim is true only as long as the lock is held:
// Read never believes it otherwise. Nobody ever signals a bare process id.
package state

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/inventory"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/logfile"
)

// Files in a container's directory, see also package inventory.
const (
	configFile = "config.json"
	stateFile  = "state.json"
	LogFile    = "log"
	SocketFile = "shim.sock"
)

// A Config is what is needed to start a container, again and again.
type Config struct {
	Container  container.Container
	Cgroup     cgroup.Config
	OpenStdin  bool // -i: standard input stays open while nobody is attached
	StdinOnce  bool // until the first who was attached has gone
	AutoRemove bool // --rm
	Log        logfile.Options
	Restart    Policy
	StopSignal int // 0: SIGTERM
}

// A Status is Docker's word for how a container is.
type Status string

const (
	Created    Status = "created"
	Running    Status = "running"
	Paused     Status = "paused"
	Restarting Status = "restarting" // its shim waits, and will start it again
	Exited     Status = "exited"
)

var statuses = []Status{Created, Running, Paused, Restarting, Exited}

// A State is how a container is, or was last.
type State struct {
	Status     Status
	PID        int `json:",omitempty"` // of init, on the host
	ShimPID    int `json:",omitempty"`
	ShimStart  uint64
	BootID     string
	StartedAt  time.Time // zero: never
	FinishedAt time.Time // zero: never
	ExitCode   int
	OOMKilled  bool
	Restarts   int
	Error      string // why it did not start, or how it ended if nobody could see it

	Settled bool `json:"-"` // its shim has just been found dead
	Lost    bool `json:"-"` // the file is damaged: the rest is what the lock says
}

// Live tells whether the state speaks of a shim.
func (s *State) Live() bool {
	return s.Status == Running || s.Status == Paused || s.Status == Restarting
}

// WriteConfig writes a container's configuration and its first state.
func WriteConfig(dir string, c *Config) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), text, 0o600); err != nil {
		return fmt.Errorf("write the container's configuration: %w", err)
	}
	return Write(dir, &State{Status: Created})
}

// ReadConfig reads a container's configuration.
func ReadConfig(dir string) (*Config, error) {
	c := new(Config)
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if err == nil {
		err = json.Unmarshal(text, c)
	}
	if err != nil || c.Container.Root == nil {
		hint := "remove the container with rm"
		if _, err := os.Stat(filepath.Join(dir, inventory.Description)); err != nil { // the first to go, see containers.Remove
			hint = "it has just been removed"
		}
		return nil, fmt.Errorf("read the container's configuration: %w: %s", cmp.Or(err, errors.New("it describes no container")), hint)
	}
	return c, nil
}

var writes atomic.Uint32

// Write records the state. Only who holds the lock may call it. The shim of one that
// does not run any more is about to end, and is left out.
//
// On a full disk there is no room for a new file, but for these few bytes in
// the place of the old ones there is: they are padded with spaces, which JSON
// does not mind, up to a size that is never exceeded: as much of Error is cut
// off as it takes, because in JSON one byte of it can be six.
func Write(dir string, s *State) error {
	const size = 1024
	now := *s
	if !now.Live() {
		now.ShimPID, now.ShimStart = 0, 0
	}
	text, err := []byte(nil), error(nil)
	for most := 300; most >= 0; most -= 50 {
		now.Error = strings.ToValidUTF8(s.Error[:min(len(s.Error), most)], "")
		if text, err = json.Marshal(&now); err != nil {
			return err
		}
		if len(text) < size {
			break
		}
	}
	text = append(text, strings.Repeat(" ", max(0, size-1-len(text)))+"\n"...)
	path := filepath.Join(dir, stateFile)
	next := fmt.Sprintf("%s.%d.%d", path, os.Getpid(), writes.Add(1)) // two may settle at once
	if err = os.WriteFile(next, text, 0o600); err == nil {
		err = os.Rename(next, path)
	}
	if err == nil {
		return nil
	}
	_ = os.Remove(next) // it may be there, and empty
	file, err2 := os.OpenFile(path, os.O_WRONLY, 0)
	if err2 == nil {
		_, err2 = file.Write(text)
		err2 = errors.Join(err2, file.Close())
	}
	if err2 != nil {
		return fmt.Errorf("record the container's state: %w", err)
	}
	return nil
}

// read returns what was written last. A power cut can leave an empty file: then
// the container has been killed by it, or at least stopped long ago.
func read(dir string) (*State, error) {
	path := filepath.Join(dir, stateFile)
	for try := 0; ; try++ {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s := new(State)
		if err = json.Unmarshal(bytes.TrimRight(text, " \n"), s); err == nil && slices.Contains(statuses, s.Status) {
			return s, nil
		}
		if try == 3 { // it is not just being written
			return &State{Status: Exited, ExitCode: lostStatus, Error: "its state is lost: " + path + " is damaged", Lost: true}, nil
		}
		time.Sleep(time.Millisecond)
	}
}

const (
	killedStatus = 137 // 128 + SIGKILL, which the death of a shim is for its container
	lostStatus   = 255 // Docker's for what did not survive the machine
)

// Read returns the state as it is now. If it speaks of a shim that has died,
// the container has died with it; Read then records that. The directory may go
// at any moment: then the error Is fs.ErrNotExist. The lock comes first: a state
// that was read before it could be older than who holds it. And if the state is
// lost, the container runs as long as the lock is held, for all that we know.
//
// The lock is shared while we look, and let go at once: many who look in turns
// would keep out who wants it for himself. flock(2) has no queue.
func Read(dir string) (*State, error) {
	path := filepath.Join(dir, inventory.Lock)
	held, err := lock.Probe(path)
	if err == nil {
		_ = held.Close()
		s, errRead := read(dir)
		if errRead != nil || !s.Live() && !s.Lost {
			return s, errRead
		}
		held, err = lock.Probe(path) // it has died, or has been started meanwhile
	}
	if errors.Is(err, lock.ErrHeld) { // by a shim, or by a command that has corrected the state
		s, err := read(dir)
		if err == nil && s.Lost {
			s.Status, s.ExitCode = Running, 0
		}
		return s, err
	}
	if err != nil {
		return nil, err
	}
	s, err := Settle(dir)
	return s, errors.Join(err, held.Close())
}
