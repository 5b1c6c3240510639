package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/state"
)

// A session is a command with a user at its terminal.
type session struct {
	*world
	cmd      *exec.Cmd
	terminal *os.File
	mu       sync.Mutex
	text     bytes.Buffer
	read     chan struct{} // closed when all of its output has been read
}

func (w *world) sit(args ...string) *session {
	w.Helper()
	cmd := w.command(args...)
	cmd.Env = append(cmd.Env, "TERM=dumb")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 33, Cols: 77})
	if err != nil {
		w.Fatal(err)
	}
	s := &session{world: w, cmd: cmd, terminal: terminal, read: make(chan struct{})}
	go func() {
		defer close(s.read)
		buffer := make([]byte, 4096)
		for {
			n, err := terminal.Read(buffer)
			s.mu.Lock()
			s.text.Write(buffer[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *session) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *session) types(text string) {
	s.Helper()
	if _, err := io.WriteString(s.terminal, text); err != nil {
		s.Fatal(err)
	}
}

func (s *session) sees(text string) {
	s.Helper()
	for end := time.Now().Add(patience); !strings.Contains(s.shown(), text); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%q has not shown %q but\n%s", s.cmd.Args, text, s.shown())
		}
	}
}

func (s *session) leaves(status int) {
	s.Helper()
	timer := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	select {
	case <-s.read:
	case <-time.After(patience):
		s.Error("somebody has the terminal still open")
	}
	if !timer.Stop() || statusOf(s.cmd) != status {
		s.Errorf("status %d, want %d; it has shown\n%s", statusOf(s.cmd), status, s.shown())
	}
	s.terminal.Close()
}

// By hand: run -ti, detach, attach, exec, stop, start -ai.
func TestTerminal(t *testing.T) {
	w := newWorld(t)
	s := w.sit("run", "-ti", "--name", "web", "box", "sh")
	s.types("stty size; tty; echo $((6*7))\n")
	s.sees("33 77\r\n")
	s.sees("42\r\n")
	s.types("\x10\x11") // ctrl-p ctrl-q
	s.leaves(0)
	if got := w.status("web"); !strings.HasPrefix(got, "Up ") {
		t.Fatalf("after the detachment: %q", got)
	}
	s = w.sit("attach", "web")
	s.types("echo $((7*11))\n")
	s.sees("77\r\n")
	if err := pty.Setsize(s.terminal, &pty.Winsize{Rows: 44, Cols: 88}); err != nil {
		t.Fatal(err)
	}
	s.until("the size arrives", func() bool {
		s.types("stty size\n")
		time.Sleep(50 * time.Millisecond)
		return strings.Contains(s.shown(), "44 88\r\n")
	})
	s.types("sleep 1002\n")
	s.until("it is in the foreground", func() bool { return strings.Contains(s.do("top", "web").stdout, " sleep 1002\n") })
	s.types("\x03") // ^C is for the program in the container
	s.types("echo $((8*11))\n")
	s.sees("88\r\n")
	inside := w.sit("exec", "-ti", "web", "sh")
	inside.types("ps; stty size; tty; exit 4\n")
	inside.sees("33 77\r\n/dev/pts/0\r\n")
	inside.leaves(4)
	if !strings.Contains(inside.shown(), " 1 root") {
		t.Errorf("ps in exec -ti:\n%s", inside.shown())
	}
	s.types("exit 6\n")
	s.leaves(6)
	if got := w.status("web"); !strings.HasPrefix(got, "Exited (6) ") {
		t.Errorf("after its end: %q", got)
	}
	s = w.sit("start", "-ai", "web")
	s.types("echo $((9*11)); exit\n")
	s.sees("99\r\n")
	s.leaves(0)
	if got := w.ok("logs", "web"); !strings.Contains(got, "42\r\n") || !strings.Contains(got, "\n99\r") {
		t.Errorf("log: %q", got)
	}
	if state := w.ok("inspect", "-f", "{{.Config.Tty}}{{.Config.OpenStdin}}", "web"); state != "truetrue" {
		t.Errorf("inspect: %s", state)
	}
}

// run -d -ti: a terminal without a user until one attaches.
func TestDetachedTerminal(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "-ti", "--name", "web", "box", "sh")
	s := w.sit("attach", "--detach-keys", "x,y", "web")
	s.types("echo axb xx$((6*7))\n")
	s.sees("axb xx42\r\n")
	s.types("xy")
	s.leaves(0)
	// kill -9 of the attached client, or the loss of its terminal.
	s = w.sit("attach", "web")
	s.types("echo $((6*9))\n")
	s.sees("54\r\n")
	w.kill(s.cmd.Process.Pid)
	s.leaves(137)
	s = w.sit("attach", "web")
	s.types("echo $((6*8))\n")
	s.sees("48\r\n")
	// Two clients at once see the same.
	other := w.sit("attach", "web")
	other.types("echo $((6*6))\n")
	s.sees("36\r\n")
	other.sees("36\r\n")
	// kill -9 of the shim while they are attached.
	w.kill(w.state("web").ShimPID)
	s.leaves(137)
	other.leaves(137)
	if !strings.Contains(s.shown(), "shim was killed") {
		t.Errorf("%s", s.shown())
	}
}

// attach without a terminal: input goes in, output comes out, and with -d the
// end of the input does not end the container's.
func TestAttach(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "-i", "--name", "web", "box", "sh", "-c", "while read line; do echo got $line; echo err >&2; done; echo end")
	for i := range 3 {
		cmd := w.command("attach", "web")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		var mu sync.Mutex
		cmd.Stdout = writer(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return out.Write(p) })
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(in, "line", i)
		w.until("the answer comes", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(out.String(), fmt.Sprintln("got line", i))
		})
		in.Close()
		time.Sleep(20 * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	w.logs("web", "got line 0\ngot line 1\ngot line 2\n", "err\nerr\nerr\n")
	// A client that does not read holds up neither other clients nor stop.
	w.ok("run", "-d", "--name", "loud", "box", "sh", "-c", "trap 'exit 3' TERM; while :; do echo 0123456789012345678901234567890123456789; done")
	slow := w.command("attach", "loud")
	slow.Stdout, _ = blockedPipe(t)
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	w.ok("exec", "loud", "true")
	w.ok("stop", "-t", "1", "loud")
	_ = slow.Process.Kill()
	_ = slow.Wait()
	// Nor, once the container has ended, does it hold up the next start or rm.
	for _, next := range []string{"start loud", "rm loud"} {
		w.do("start", "loud")
		slow := w.command("attach", "loud")
		slow.Stdout, _ = blockedPipe(t)
		if err := slow.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		w.ok("kill", "loud")
		w.until("it has ended", func() bool { return w.state("loud").Status == state.Exited })
		w.ok(strings.Fields(next)...)
		_ = slow.Process.Kill()
		_ = slow.Wait()
	}
}

// Input that nobody reads does not hold up signals.
func TestSignalBesideInput(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{{"run", "-i", "--name", "deaf", "box", "sleep", "1000"}, {"start", "-ai", "deaf"}} {
		cmd := w.command(args...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		written := make(chan struct{}, 1000)
		go func() {
			for text := make([]byte, 64<<10); ; written <- struct{}{} {
				if _, err := in.Write(text); err != nil {
					return
				}
			}
		}()
		for full := false; !full; { // the whole way to the container
			select {
			case <-written:
			case <-time.After(500 * time.Millisecond):
				full = strings.HasPrefix(w.status("deaf"), "Up ") // and not only slow to start
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		if _ = cmd.Wait(); statusOf(cmd) != 143 {
			t.Errorf("%q: status %d", args, statusOf(cmd))
		}
		late.Stop()
	}
}

type writer func(p []byte) (int, error)

func (f writer) Write(p []byte) (int, error) { return f(p) }

// blockedPipe returns a full pipe that nobody reads.
func blockedPipe(t *testing.T) (*os.File, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return w, r
}

// exec's terminal is in the container's devpts and belongs to the user. Its
// client can detach, and the command keeps running.
func TestExecTerminal(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "-u", "ann", "box", "sleep", "1000")
	s := w.sit("exec", "-ti", "--detach-keys", "x,y", "web", "sh")
	s.types("tty; stat -c %U $(tty); stty size; ls /dev/pts | tr '\\n' ' '\n")
	s.sees("\r\n/dev/pts/0\r\nann\r\n33 77\r\n0 ptmx ")
	if err := pty.Setsize(s.terminal, &pty.Winsize{Rows: 44, Cols: 88}); err != nil {
		t.Fatal(err)
	}
	s.until("the size arrives", func() bool {
		s.types("stty size\n")
		time.Sleep(50 * time.Millisecond)
		return strings.Contains(s.shown(), "44 88\r\n")
	})
	s.types("sleep 1002\n")
	s.until("it is in the foreground", func() bool { return strings.Contains(s.do("top", "web").stdout, " sleep 1002\n") })
	s.types("\x03") // ^C is for the program in the container
	s.types("echo $((8*11)); while :; do sleep 1; done\n")
	s.sees("88\r\n")
	s.types("xy")
	s.leaves(0)
	for _, options := range []string{"-eo", "-o"} { // it has not our terminal
		if top := w.ok("top", "web", options, "pid,args"); !strings.Contains(top+"\n", " sh\n") {
			t.Errorf("it has not stayed: %s", top)
		}
	}
	// All of its output arrives, to the last byte, and a process that stays
	// does not delay its end.
	s = w.sit("exec", "-ti", "web", "sh", "-c", "sleep 1000 & seq 20000; exit 3")
	s.leaves(3)
	if !strings.HasSuffix(s.shown(), "\r\n19999\r\n20000\r\n") || strings.Count(s.shown(), "\n") != 20000 {
		t.Errorf("%d lines", strings.Count(s.shown(), "\n"))
	}
	w.ok("exec", "-d", "-t", "web", "sh", "-c", "tty >/tmp/tty")
	w.until("it has a terminal, too", func() bool { return strings.HasPrefix(w.do("exec", "web", "cat", "/tmp/tty").stdout, "/dev/pts/") })
	s = w.sit("exec", "-t", "web", "no-such")
	s.leaves(127)
}

// A stopped shim passes on no signals, so they act on the client.
func TestDeafShim(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
	shim := w.state("web").ShimPID
	running := w.command("exec", "web", "sleep", "1001")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	w.until("it runs", func() bool { return strings.Contains(w.do("top", "web").stdout, "sleep 1001") })
	w.stop(shim)
	waiting := w.command("exec", "web", "true")
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // it asks and gets no answer
	for _, cmd := range []*exec.Cmd{running, waiting} {
		_ = cmd.Process.Signal(unix.SIGTERM)
		timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		if !timer.Stop() || statusOf(cmd) != 143 {
			t.Errorf("%q: status %d", cmd.Args, statusOf(cmd))
		}
	}
	if err := unix.Kill(shim, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.ok("exec", "web", "true")
}
