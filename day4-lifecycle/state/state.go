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
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/cgroup"
	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/lock"
	"example.com/go-docker/day4-lifecycle/logfile"
)

// Files in a container's directory.
const (
	configFile = "config.json"
	stateFile  = "state.json"
	lockFile   = "lock"
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

func ReadConfig(dir string) (*Config, error) {
	c := new(Config)
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if err == nil {
		err = json.Unmarshal(text, c)
	}
	if err != nil {
		return nil, fmt.Errorf("read the container's configuration: %w: remove the container with rm", err)
	}
	return c, nil
}

var writes atomic.Uint32

// Write records the state. Only who holds the lock may call it.
//
// On a full disk there is no room for a new file, but for these few bytes in
// the place of the old ones there is: they are padded with spaces, which JSON
// does not mind, up to a size that is never exceeded.
func Write(dir string, s *State) error {
	const size = 1024
	s.Error = s.Error[:min(len(s.Error), 300)]
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	text = append(text, strings.Repeat(" ", max(0, size-1-len(text)))+"\n"...)
	path := filepath.Join(dir, stateFile)
	next := fmt.Sprintf("%s.%d.%d", path, os.Getpid(), writes.Add(1)) // two may settle at once
	err = os.WriteFile(next, text, 0o600)
	if err == nil {
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
		if err = json.Unmarshal(text, s); err == nil {
			return s, nil
		}
		if try == 3 { // it is not just being written
			return &State{Status: Exited, ExitCode: lostStatus, Error: "its state is lost: " + err.Error()}, nil
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
// at any moment: then the error Is fs.ErrNotExist.
func Read(dir string) (*State, error) {
	s, err := read(dir)
	if err != nil || !s.Live() {
		return s, err
	}
	held, err := probe(dir)
	if errors.Is(err, lock.ErrHeld) { // by a shim, or by a command that has corrected the state
		return read(dir)
	}
	if err != nil {
		return nil, err
	}
	s, err = Settle(dir)
	return s, errors.Join(err, held.Close())
}

// probe gets the lock as one of many: a shim, whose lock is its alone, prevents
// that, others who only look do not. flock(2)
func probe(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = lock.ErrHeld
	}
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "lock", Path: file.Name(), Err: err}, file.Close())
	}
	return file, nil
}

// Settle is for who has the lock, if only as one of many: it returns the state,
// and corrects it if it speaks of a shim, which must be dead. A correction that
// cannot be recorded is made again by the next who reads.
func Settle(dir string) (*State, error) {
	s, err := read(dir)
	if err != nil || !s.Live() {
		return s, err
	}
	boot, err := BootID()
	if err != nil {
		return nil, err
	}
	s.ExitCode, s.Error = killedStatus, fmt.Sprintf("its shim (process %d) was killed, and it with it", s.ShimPID)
	if s.BootID != boot {
		s.ExitCode, s.Error = lostStatus, "the machine was stopped while it was running"
	}
	if s.Status == Restarting {
		s.Error = fmt.Sprintf("its shim (process %d) was killed before it could restart it", s.ShimPID)
	}
	s.Status, s.PID, s.ShimPID, s.FinishedAt, s.Settled = Exited, 0, 0, time.Now().UTC(), true
	_ = Write(dir, s) // a full disk, or one that is read-only, does not change what is true
	return s, nil
}

// TryLock locks a container that has no shim: it will not start meanwhile. The
// error Is lock.ErrHeld if somebody else has it. The state is settled first:
// one that speaks of a shim while the lock is another's alone is to be believed.
func TryLock(dir string) (*os.File, error) {
	held, err := probe(dir)
	if err != nil {
		return nil, err
	}
	if _, err = Settle(dir); err == nil {
		err = lock.TryFile(held) // from shared to exclusive
	}
	if err == nil { // the kernel gives up the one lock before the other, and a shim may have come and gone
		_, err = Settle(dir)
	}
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held, nil
}

// BootID names this boot of the machine. random(4)
func BootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// StartTime is when a process began, in ticks since the machine did: with it a
// process id is not mistaken for that of a later process.
func StartTime(pid int) (uint64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Stopped tells whether somebody has stopped a process, with SIGSTOP.
func Stopped(pid int) bool {
	fields, err := stat(pid)
	return err == nil && fields[0] == "T"
}

// stat returns what the kernel says of a process, from the third field on.
// proc_pid_stat(5)
func stat(pid int) ([]string, error) {
	const path = "/proc/%d/stat"
	text, err := os.ReadFile(fmt.Sprintf(path, pid))
	if err != nil {
		return nil, err
	}
	// The second field is a name in parentheses, in which anything can be.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return nil, &fs.PathError{Op: "parse", Path: fmt.Sprintf(path, pid), Err: fs.ErrInvalid}
	}
	return fields, nil
}
