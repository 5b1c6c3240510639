package shim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/wire"
)

// serve answers clients until the listener is closed.
func (s *shim) serve() {
	for {
		client, err := s.listener.Accept()
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil { // too many are open, or there is no memory: that may pass
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.busy.Go(func() { s.handle(client) })
	}
}

// handle does what one client asks for.
func (s *shim) handle(client *wire.Conn) {
	defer client.Close() // all has been said
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
		s.answer(client, s.kill(sig))
	case wire.DoStop:
		s.answer(client, s.stop(cmp.Or(sig, s.stopSignal()), ask.Seconds))
	case wire.DoWait:
		select {
		case <-client.Listen(func(wire.Kind, []byte) {}):
		case <-s.over:
			s.answer(client, nil)
		}
	case wire.DoRecord:
		s.answer(client, s.record())
	case wire.DoHurry:
		s.hurry()
	case wire.DoPause, wire.DoUnpause:
		s.answer(client, s.pause(ask.Do == wire.DoPause))
	case wire.DoAttach:
		s.answer(client, nil)
		s.attach(client, ask.Stdin)
	case wire.DoExec:
		s.exec(client, ask.Command, files)
	case wire.DoRoot:
		s.send(client, (*container.Process).Root)
	default:
		s.answer(client, fmt.Errorf("this shim does not know %q: it is of another version of this program", ask.Do))
	}
}

func (s *shim) stopSignal() syscall.Signal {
	return syscall.Signal(cmp.Or(s.config.StopSignal, int(syscall.SIGTERM)))
}

// answer tells the client what came of its request.
func (s *shim) answer(client *wire.Conn, err error) {
	s.mu.Lock()
	status := s.state.ExitCode
	s.mu.Unlock()
	reply(client, err, status, 1)
}

// reply sends one status, or an error and another unless it has its own. The
// client may be gone.
func reply(client *wire.Conn, err error, status, ofError int) {
	r := wire.Reply{Status: status}
	if err != nil {
		failed := container.StatusError{Status: ofError, Err: err}
		errors.As(err, &failed)
		r = wire.Reply{Error: failed.Error(), Status: failed.Status}
	}
	_ = client.SendJSON(wire.Answer, r)
}

// attach passes on what the client types, while the container's output goes to
// it, until it detaches or the container has ended.
func (s *shim) attach(client *wire.Conn, stdin bool) {
	defer client.Close()
	s.clients.Add(client)
	defer s.clients.Remove(client)
	select {
	case <-client.Listen(func(kind wire.Kind, text []byte) { s.typed(kind, text, stdin) }):
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
		_ = s.kill(syscall.Signal(text[0])) // the container may have ended
	case stdio == nil, kind == wire.Stdin && (!stdin || len(text) == 0 && !s.config.StdinOnce):
	default:
		stdio.Typed(kind, text, tty)
	}
}

// send sends a descriptor of something of the container.
func (s *shim) send(client *wire.Conn, open func(*container.Process) (*os.File, error)) {
	var file *os.File
	s.mu.Lock()
	err := s.runs()
	if err == nil {
		file, err = open(s.process)
	}
	s.mu.Unlock()
	if errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrNotExist) { // a zombie: its end is about to be recorded
		err = errNotRunning
	}
	if err != nil {
		s.answer(client, err)
		return
	}
	defer file.Close()
	_ = client.SendJSON(wire.Answer, wire.Reply{}, file)
}
