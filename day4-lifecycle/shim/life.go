package shim

import (
	"errors"
	"time"

	"example.com/go-docker/day4-lifecycle/cgroup"
	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/rootfs"
	"example.com/go-docker/day4-lifecycle/state"
	"example.com/go-docker/day4-lifecycle/streams"
)

// start starts the container. When it returns an error, nothing of it runs.
func (s *shim) start() (err error) {
	g, err := cgroup.Create(s.config.Cgroup)
	if err != nil {
		return s.failed(err)
	}
	var stdio *streams.Streams
	var process *container.Process
	defer func() {
		if err == nil {
			return
		}
		if process != nil {
			err = errors.Join(err, process.Close())
		}
		if stdio != nil {
			stdio.Close()
		}
		err = s.failed(errors.Join(err, g.Remove()))
	}()
	c := s.config.Container // a copy: the terminal and the cgroup are another each time
	root := *c.Root
	root.Cgroups = rootfs.Cgroups{Version: g.Version, Dirs: g.Dirs}
	c.Root = &root
	if stdio, err = streams.Open(&c, s.config.OpenStdin); err != nil {
		return err
	}
	parent := stdio.Parent
	parent.Signals, parent.Cgroup = s.signals, g
	if process, err = container.Create(&c, parent); err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.state
	now.Status, now.PID, now.StartedAt = state.Running, process.PID(), time.Now().UTC()
	now.ExitCode, now.OOMKilled, now.Error = 0, false, ""
	if err := state.Write(s.dir, &now); err != nil {
		return err
	}
	s.state, s.process, s.cgroup, s.streams, s.gone = now, process, g, stdio, make(chan struct{})
	if s.last != 0 {
		_ = s.signal(s.last) // see finish: stop has more of them, if it cannot be sent
	}
	return nil
}

// failed records why the container could not be started. It stays what it was,
// unless it is to be started again and again.
func (s *shim) failed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	why := container.StatusError{Status: container.RuntimeError, Err: err}
	errors.As(err, &why)
	s.state.Error, s.state.ExitCode = why.Error(), why.Status
	if !s.state.Live() {
		return errors.Join(err, state.Write(s.dir, &s.state))
	}
	return errors.Join(err, s.ended())
}

// wait waits for the container's end, and records it.
func (s *shim) wait() {
	status, err := s.process.Wait()
	s.mu.Lock()
	process, g := s.process, s.cgroup
	close(s.gone)
	s.process, s.cgroup, s.state.ExitCode = nil, nil, status
	if used, errUsage := g.Usage(); errUsage == nil {
		s.state.OOMKilled = used.OOMKills > 0
	}
	// What is not in its PID namespace ends now.
	if err = errors.Join(err, process.Close(), g.Remove()); err != nil {
		s.state.Error = err.Error()
	}
	_ = s.ended() // what cannot be recorded, the next command will see from the lock
	s.mu.Unlock()
	s.streams.Drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams = nil
}

// ended records that the container has ended: for good, or to be started again.
func (s *shim) ended() error {
	s.state.Status, s.state.PID, s.state.FinishedAt = state.Exited, 0, time.Now().UTC()
	if s.last == 0 && s.config.Restart.Again(s.state.ExitCode, s.state.Restarts) {
		s.state.Status = state.Restarting
		s.state.Restarts++
	}
	return state.Write(s.dir, &s.state)
}

// record writes the state once more, for a client that has found it damaged.
func (s *shim) record() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return state.Write(s.dir, &s.state)
}

// again waits until the container is to be started once more, and tells
// whether it is.
func (s *shim) again(pause time.Duration) bool {
	if s.state.Status != state.Restarting { // nobody else writes it while there is no process
		return false
	}
	more := true
	select {
	case <-time.After(pause):
	case <-s.stopped:
	case <-s.signals.Caught(): // the machine is going down
		more = false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if more && s.last == 0 {
		return true
	}
	s.state.Status = state.Exited
	_ = state.Write(s.dir, &s.state) // as above
	return false
}
