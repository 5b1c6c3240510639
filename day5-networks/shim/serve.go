package shim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/join"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/wire"
)

// serve answers clients until the listener is closed.
func (s *shim) serve() {
	for {
		raw, err := s.listener.AcceptUnix()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				continue
			}
			return
		}
		client := &wire.Conn{UnixConn: raw}
		s.busy.Go(func() {
			defer client.Close() // all has been said
			s.handle(client)
		})
	}
}

// handle does what one client asks for.
func (s *shim) handle(client *wire.Conn) {
	kind, text, files, err := client.ReceiveFiles()
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	var ask wire.Request
	if err != nil || kind != wire.Ask || json.Unmarshal(text, &ask) != nil {
		return
	}
	switch sig := syscall.Signal(ask.Signal); ask.Do {
	case wire.DoKill:
		if sig == syscall.SIGKILL || sig == s.stopSignal() {
			s.giveUp()
		}
		s.answer(client, s.signal(sig))
	case wire.DoStop:
		if sig == 0 {
			sig = s.stopSignal()
		}
		s.answer(client, s.stop(sig, ask.Seconds))
	case wire.DoWait:
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _, _ = client.Receive() // it says nothing more, so this is its end
		}()
		select {
		case <-gone:
		case <-s.over:
			s.answer(client, nil)
		}
	case wire.DoPause, wire.DoUnpause:
		s.answer(client, s.pause(ask.Do == wire.DoPause))
	case wire.DoAttach:
		s.answer(client, nil)
		s.attach(client, ask.Stdin)
	case wire.DoExec:
		s.exec(client, ask.Command, files)
	case wire.DoRoot:
		s.send(client, (*container.Process).Root)
	case wire.DoNetns:
		s.send(client, (*container.Process).Netns)
	case wire.DoConnect, wire.DoLeave:
		s.answer(client, s.changeNetwork(ask))
	default:
		s.answer(client, fmt.Errorf("this shim does not know %q: it is of another version of this program", ask.Do))
	}
}

func (s *shim) stopSignal() syscall.Signal {
	if s.config.StopSignal != 0 {
		return syscall.Signal(s.config.StopSignal)
	}
	return syscall.SIGTERM
}

// answer tells the client what came of its request. It may be gone.
func (s *shim) answer(client *wire.Conn, err error) {
	s.mu.Lock()
	reply := wire.Reply{Status: s.state.ExitCode}
	s.mu.Unlock()
	if err != nil {
		failed := container.StatusError{Status: 1, Err: err}
		errors.As(err, &failed)
		reply = wire.Reply{Error: failed.Error(), Status: failed.Status}
	}
	_ = client.SendJSON(wire.Answer, reply)
}

// attach passes on what the client types, while the container's output goes to
// it, until it detaches or the container has ended.
func (s *shim) attach(client *wire.Conn, stdin bool) {
	defer client.Close()
	s.clients.Add(client)
	defer s.clients.Remove(client)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			kind, text, err := client.Receive()
			if err != nil {
				return
			}
			s.typed(kind, text, stdin)
		}
	}()
	select {
	case <-gone:
		if stdin && s.config.StdinOnce {
			s.typed(wire.Stdin, nil, true)
		}
	case <-s.over:
		s.answer(client, nil)
	}
}

// typed is one message of an attached client.
func (s *shim) typed(kind wire.Kind, text []byte, stdin bool) {
	s.mu.Lock()
	stdio, tty := s.streams, s.config.Container.TTY
	s.mu.Unlock()
	switch {
	case kind == wire.Signal && len(text) == 1:
		_ = s.signal(syscall.Signal(text[0])) // the container may have ended
	case stdio == nil:
	case kind == wire.Size && len(text) == 4 && tty:
		stdio.Resize(binary.BigEndian.Uint16(text), binary.BigEndian.Uint16(text[2:]))
	case kind == wire.Stdout, kind == wire.Stderr:
		stdio.HangUp(kind)
	case kind == wire.Stdin && stdin && (len(text) > 0 || s.config.StdinOnce):
		stdio.Input(text, tty)
	}
}

// exec runs one more command in the container.
func (s *shim) exec(client *wire.Conn, text []byte, files []*os.File) {
	var c join.Command
	if err := json.Unmarshal(text, &c); err != nil || len(files) != 3 || len(c.Args) == 0 {
		s.answer(client, fmt.Errorf("not a request to execute a command: %v", err))
		return
	}
	process, err := s.join(c, [3]*os.File(files))
	for _, f := range files {
		_ = f.Close() // the command has its own; ours would keep a pipe open
	}
	s.answer(client, err)
	if err != nil {
		return
	}
	go func() {
		for {
			kind, text, err := client.Receive()
			if err != nil {
				return // the command goes on without its client
			}
			if kind == wire.Signal && len(text) == 1 {
				_ = process.Signal(syscall.Signal(text[0])) // it may just have ended
			}
		}
	}()
	ended, err := process.Wait()
	reply := wire.Reply{}
	if err != nil {
		reply = wire.Reply{Error: err.Error(), Status: container.RuntimeError}
	} else {
		reply.Status = container.StatusOf(ended.Sys().(syscall.WaitStatus))
	}
	_ = client.SendJSON(wire.Answer, reply)
}

// join holds the container while the command is started: its cgroup must not be
// removed then, with a thread of ours in it.
func (s *shim) join(c join.Command, files [3]*os.File) (*os.Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.process == nil:
		return nil, errNotRunning
	case s.state.Status == state.Paused:
		return nil, errors.New("the container is paused: unpause it first")
	}
	target := join.Target{Container: &s.config.Container, Init: s.process.PIDFD(), Cgroup: s.cgroup}
	return target.Start(c, files)
}
