package shim

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"example.com/go-docker/day4-lifecycle/freezer"
	"example.com/go-docker/day4-lifecycle/state"
)

// giveUp rules out another start.
func (s *shim) giveUp() { s.stopOnce.Do(func() { close(s.stopped) }) }

var (
	errNotRunning = errors.New("the container is not running")
	errRestarting = fmt.Errorf("%w: it waits to be started again, which stop and kill prevent", errNotRunning)
)

// kill sends the signal that somebody wants sent. One that means the end rules
// out another start, and so ends what waits for that. What has a restart policy
// may end by itself meanwhile, or be just being started: it ends for good all the
// same, because of this.
func (s *shim) kill(sig syscall.Signal) error {
	last := sig == syscall.SIGKILL || sig == s.stopSignal()
	if last {
		s.giveUp()
	}
	for {
		err := s.signal(sig)
		if !last || !errors.Is(err, errNotRunning) {
			return err
		}
		select {
		case <-s.over:
			return nil
		case <-time.After(10 * time.Millisecond): // then there is somebody to be signalled
		}
	}
}

// signal sends a signal. What is paused goes on: else it would not notice.
func (s *shim) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.process == nil && s.state.Status == state.Restarting:
		return errRestarting
	case s.process == nil:
		return errNotRunning
	}
	if !s.config.Container.Forwards(sig) {
		return fmt.Errorf("signal %d does not reach the command: its init passes on HUP, INT, QUIT, ALRM, TERM, USR1, USR2 and CONT; with --init=false there is none", sig)
	}
	if err := s.process.Signal(sig); errors.Is(err, os.ErrProcessDone) {
		return errNotRunning // it is about to be recorded
	} else if err != nil {
		return err
	}
	if s.state.Status == state.Paused {
		return s.freeze(false)
	}
	return nil
}

// pause stops all of the container, or lets it go on.
func (s *shim) pause(freeze bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch paused := s.state.Status == state.Paused; {
	case s.process == nil:
		return errNotRunning
	case freeze && paused:
		return errors.New("the container is already paused")
	case !freeze && !paused:
		return errors.New("the container is not paused")
	}
	return s.freeze(freeze)
}

func (s *shim) freeze(freeze bool) error {
	set, status := freezer.Thaw, state.Running
	if freeze {
		set, status = freezer.Freeze, state.Paused
	}
	if err := set(s.cgroup.Version, s.cgroup.Freezer()); err != nil {
		return err
	}
	s.state.Status = status
	return s.record()
}
