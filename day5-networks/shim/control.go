package shim

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"example.com/go-docker/day5-networks/freezer"
	"example.com/go-docker/day5-networks/state"
)

var (
	errNotRunning = errors.New("the container is not running") // in the words of lifecycle's, which compares
	errRestarting = fmt.Errorf("%w: it waits to be started again, which stop and kill prevent", errNotRunning)
)

// runs is nil if there is a process of the container's; the caller has s.mu.
func (s *shim) runs() error {
	switch {
	case s.process != nil:
		return nil
	case s.state.Status == state.Restarting:
		return errRestarting
	}
	return errNotRunning
}

// kill sends the signal that somebody wants sent.
func (s *shim) kill(sig syscall.Signal) error {
	if sig == syscall.SIGKILL || sig == s.stopSignal() {
		return s.finish(sig)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signal(sig)
}

// finish sends a signal that means the end, and rules out another start. It does
// not matter whether somebody is there to hear it: what has just ended, and what
// waits to be started again, ends for good by that alone, and what is just being
// started hears it as soon as it runs.
func (s *shim) finish(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.signal(sig); err != nil && !errors.Is(err, errNotRunning) {
		return err
	}
	if s.last == 0 {
		close(s.stopped)
	}
	s.last = sig
	return nil
}

// stop ends the container for good: with a signal, and after so many seconds
// with SIGKILL; negative is never. When it returns, nothing is left of it.
func (s *shim) stop(sig syscall.Signal, seconds int) error {
	if err := s.finish(sig); err != nil {
		return err
	}
	var late <-chan time.Time
	if seconds >= 0 {
		late = time.After(time.Duration(seconds) * time.Second)
	}
	select {
	case <-s.over:
		return s.network.Close()
	case <-late:
	}
	for range 10 {
		if err := s.finish(syscall.SIGKILL); err != nil {
			return err
		}
		select {
		case <-s.over:
			return s.network.Close()
		case <-time.After(time.Second):
			s.hurry()
		}
	}
	return errors.New("it does not end, not even after SIGKILL: a process of it may hang in the kernel, see ps for state D")
}

// hurry lets go of all clients if the container has ended and one of them does not
// read its last output. Else one that stands still would keep the shim, and with it
// the container's lock, for ever.
func (s *shim) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil && s.streams != nil {
		s.clients.Drop()
	}
}

// signal sends a signal; the caller has s.mu. What is paused goes on: else it
// would not notice.
func (s *shim) signal(sig syscall.Signal) error {
	if err := s.runs(); err != nil {
		return err
	}
	if !s.config.Container.Forwards(sig) {
		return fmt.Errorf("signal %d does not reach the command: its init passes on HUP, INT, QUIT, ALRM, TERM, USR1, USR2 and CONT; with --init=false there is none", sig)
	}
	err := s.process.Signal(sig)
	switch {
	case errors.Is(err, os.ErrProcessDone):
		return errNotRunning // it is about to be recorded
	case err == nil && s.state.Status == state.Paused:
		return s.freeze(false)
	}
	return err
}

// pause stops all of the container, or lets it go on.
func (s *shim) pause(freeze bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch err, paused := s.runs(), s.state.Status == state.Paused; {
	case err != nil:
		return err
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
	return state.Write(s.dir, &s.state)
}
