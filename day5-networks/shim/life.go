package shim

import (
	"errors"
	"syscall"
	"time"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/rootfs"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/streams"
)

// start starts the container. When it returns an error, nothing of it runs.
func (s *shim) start() (err error) {
	g, err := cgroup.Create(s.config.Cgroup)
	if err != nil {
		return s.failed(err)
	}
	defer func() {
		if err != nil {
			err = s.failed(errors.Join(err, g.Remove()))
		}
	}()
	c := s.config.Container // a copy: the terminal and the cgroup are another each time
	root := *c.Root
	root.Cgroups = rootfs.Cgroups{Version: g.Version, Dirs: g.Dirs}
	c.Root = &root
	stdio, err := streams.Open(&c, s.config.OpenStdin)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			stdio.Close()
		}
	}()
	parent := stdio.Parent
	parent.Signals, parent.Cgroup = s.signals, g
	process, err := s.createConnected(&c, parent)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, process.Close(), s.network.End())
		}
	}()
	if err := process.Start(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Status, s.state.PID, s.state.StartedAt, s.state.Error = state.Running, process.PID(), time.Now().UTC(), ""
	s.state.ExitCode, s.state.OOMKilled = 0, false
	if err := state.Write(s.dir, &s.state); err != nil {
		return err
	}
	s.process, s.cgroup, s.streams = process, g, stdio
	return nil
}

// createConnected makes the container's namespaces, and connects the network's.
// When it returns an error, nothing of the container is left.
func (s *shim) createConnected(c *container.Container, parent container.Parent) (_ *container.Process, err error) {
	if parent.Netns, err = s.network.PeerNetns(); err != nil {
		return nil, err
	}
	defer parent.Netns.Close() // which does nothing to nil
	process, err := container.Create(c, parent)
	if err != nil {
		return nil, err
	}
	if err := s.network.Start(process); err != nil {
		return nil, errors.Join(err, process.Close(), s.network.End())
	}
	return process, nil
}

// failed records why the container could not be started. One that never ran
// stays what it was.
func (s *shim) failed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	why := container.StatusError{Status: container.RuntimeError, Err: err}
	errors.As(err, &why)
	s.state.Error, s.state.ExitCode = why.Error(), why.Status
	if !s.hasRun() {
		return errors.Join(err, s.record())
	}
	return errors.Join(err, s.ended())
}

// hasRun tells whether the container has ever run.
func (s *shim) hasRun() bool { return !s.state.StartedAt.IsZero() }

// record writes the state down; without a shim if this one is about to end.
func (s *shim) record() error {
	now := s.state
	if !now.Live() {
		now.ShimPID, now.ShimStart = 0, 0
	}
	return state.Write(s.dir, &now)
}

// wait waits for the container's end, and records it.
func (s *shim) wait() {
	status, err := s.process.Wait()
	s.mu.Lock()
	process, g, stdio := s.process, s.cgroup, s.streams
	s.process, s.cgroup = nil, nil
	s.state.ExitCode = status
	if used, errUsage := g.Usage(); errUsage == nil {
		s.state.OOMKilled = used.OOMKills > 0
	}
	// What is not in its PID namespace ends now.
	if err = errors.Join(err, process.Close(), s.network.End(), g.Remove()); err != nil {
		s.state.Error = err.Error()
	}
	_ = s.ended() // what cannot be recorded, the next command will see from the lock
	s.mu.Unlock()
	stdio.Drain()
}

// ended records that the container has ended: for good, or to be started again.
func (s *shim) ended() error {
	s.state.Status, s.state.PID, s.state.FinishedAt = state.Exited, 0, time.Now().UTC()
	select {
	case <-s.stopped:
	default:
		if s.config.Restart.Again(s.state.ExitCode, s.state.Restarts) {
			s.state.Status = state.Restarting
			s.state.Restarts++
		}
	}
	return s.record()
}

// again waits until the container is to be started once more, and tells
// whether it is.
func (s *shim) again(pause time.Duration) bool {
	s.mu.Lock()
	wanted := s.state.Status == state.Restarting
	s.mu.Unlock()
	if !wanted {
		return false
	}
	select {
	case <-time.After(pause):
		return true
	case <-s.stopped:
	case <-s.signals.Caught(): // the machine is going down
		s.giveUp()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Status = state.Exited
	_ = s.record() // as above
	return false
}

// stop ends the container for good: with a signal, and after so many seconds
// with SIGKILL; negative is never. When it returns, nothing is left of it.
func (s *shim) stop(sig syscall.Signal, seconds int) error {
	s.giveUp()
	if err := s.signal(sig); err != nil && !errors.Is(err, errNotRunning) {
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
		switch err := s.signal(syscall.SIGKILL); {
		case errors.Is(err, errNotRunning):
			s.clients.Drop() // it has ended, and one of them does not read its output
		case err != nil:
			return err
		}
		select {
		case <-s.over:
			return s.network.Close()
		case <-time.After(time.Second):
		}
	}
	return errors.New("it does not end, not even of SIGKILL: a process of it may hang in the kernel, see ps for state D")
}
