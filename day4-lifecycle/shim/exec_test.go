package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/join"
	"example.com/go-docker/day4-lifecycle/state"
	"example.com/go-docker/day4-lifecycle/wire"
)

// hang makes a program in the container that cannot be opened for now: the kernel
// waits until who has a lease on the file gives it up, fcntl(2), for as long as
// /proc/sys/fs/lease-break-time says: 45 seconds, unless told otherwise.
func hang(t *testing.T, s *shim) (lease *os.File) {
	t.Helper()
	path := filepath.Join(s.dir, "layer/bin/hang")
	err := os.WriteFile(path, []byte("#!/bin/busybox sh\n/bin/busybox touch /has-run\n"), 0o755)
	if err == nil {
		lease, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err == nil {
		_, err = unix.FcntlInt(lease.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	}
	if err != nil {
		t.Fatal("take a lease: ", err)
	}
	t.Cleanup(func() { lease.Close() })
	return lease
}

// until waits until something is so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not ", what)
		}
	}
}

// soon waits for an answer, but not as long as the program may hang.
func soon(t *testing.T, to string, answer <-chan error) error {
	t.Helper()
	select {
	case err := <-answer:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal(to, ": no answer")
		return nil
	}
}

// ask has the shim do something. What comes of it is sent to the channel.
func ask(s *shim, request wire.Request, files ...*os.File) <-chan error {
	answer := make(chan error, 1)
	go func() {
		conn, err := wire.Dial(filepath.Join(s.dir, state.SocketFile))
		if err != nil {
			answer <- err
			return
		}
		defer conn.Close()
		reply, err := conn.Ask(request, files...)
		if err == nil && reply.Error != "" {
			err = errors.New(reply.Error)
		}
		answer <- err
	}()
	return answer
}

func askExec(t *testing.T, s *shim, program string) <-chan error {
	t.Helper()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	command, err := json.Marshal(join.Command{Args: []string{program, "true"}})
	if err != nil {
		t.Fatal(err)
	}
	return ask(s, wire.Request{Do: wire.DoExec, Command: command}, null, null, null)
}

// live starts the container, and all that its shim does as long as it lives.
func live(t *testing.T, s *shim) {
	t.Helper()
	client, other, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	go func() {
		runtime.LockOSThread()
		s.live(&wire.Conn{File: other}, false)
	}()
	if reply, err := client.ReceiveReply(); err != nil || reply.Error != "" {
		t.Fatalf("start: %+v, %v", reply, err)
	}
}

// What exec runs may be in a file system that does not answer. That is a matter
// of this exec alone: all else goes on, and what ends the container ends it, too.
// It does not run later, when the file system answers, neither outside nor in
// the container that has been started again.
func TestExecHangs(t *testing.T) {
	for name, end := range map[string]*wire.Request{
		"until it goes on": nil,
		"until stop":       {Do: wire.DoStop, Seconds: 0},
		"until kill":       {Do: wire.DoKill, Signal: int(unix.SIGKILL)},
		"until restart":    {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShim(t, "while :; do /bin/busybox sleep 1000; done")
			lease := hang(t, s)
			live(t, s)
			hangs := askExec(t, s, "/bin/hang")
			until(t, "hanging", func() bool {
				kind, err := unix.FcntlInt(lease.Fd(), unix.F_GETLEASE, 0)
				return err == nil && kind != unix.F_WRLCK // somebody waits for it
			})
			for _, do := range []string{wire.DoPause, wire.DoUnpause, wire.DoRoot, wire.DoRecord} {
				succeeds(t, do, ask(s, wire.Request{Do: do}))
			}
			succeeds(t, "another exec", askExec(t, s, "/bin/busybox"))
			switch {
			case end == nil:
			case end.Do == "":
				restart(t, s)
			default:
				succeeds(t, end.Do, ask(s, *end))
			}
			if end != nil {
				if err := soon(t, "exec", hangs); err == nil || !strings.Contains(err.Error(), "ended") {
					t.Error("exec: ", err)
				}
			}
			lease.Close() // the program could run now
			if end == nil {
				succeeds(t, "exec", hangs)
			}
			stacks := make([]byte, 1<<20)
			until(t, "over", func() bool { return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("join.Target")) })
			hasRun := func() bool {
				_, err := os.Stat(filepath.Join(s.dir, "upper/has-run"))
				return err == nil
			}
			if end == nil {
				until(t, "run", hasRun)
			}
			if end == nil || end.Do == "" {
				succeeds(t, "the end", ask(s, wire.Request{Do: wire.DoStop}))
			}
			<-s.over
			if end != nil && hasRun() {
				t.Error("it has run after the end")
			}
		})
	}
}

func succeeds(t *testing.T, what string, answer <-chan error) {
	t.Helper()
	if err := soon(t, what, answer); err != nil {
		t.Error(what, ": ", err)
	}
}

// restart has the container end by itself, so that it is started again.
func restart(t *testing.T, s *shim) {
	t.Helper()
	s.mu.Lock()
	err := s.process.Signal(unix.SIGKILL)
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	until(t, "started again", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.process != nil && s.state.Restarts > 0
	})
}
