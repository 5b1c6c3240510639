// Package terminal gives a command a terminal of its own and connects it to the
// user's. The ladder has no rung for it, because its programs pass on their own
// terminal.
package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/moby/term"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A Terminal is a pseudo-terminal, pty(7). The slave is the container's
// terminal, with line editing and job control; we hold the master and copy
// between it and the user's terminal.
type Terminal struct {
	Slave    *os.File
	master   *os.File
	user     *os.File      // the user's terminal while it is raw
	saved    *term.State   // its earlier settings; nil while unchanged
	copied   chan struct{} // closed when all output has been copied
	ended    atomic.Bool   // whether the container has ended
	leftWait time.Duration // how much longer we wait for output after that
}

// Open makes a terminal of the same size as ours and gives it to a command that
// has not been started yet.
func Open(cmd *exec.Cmd) (*Terminal, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	t := &Terminal{Slave: slave, master: master, leftWait: time.Second}
	t.resize()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	return t, nil
}

// resize sets the container's terminal to the size of ours; the kernel then
// sends SIGWINCH to its foreground programs.
func (t *Terminal) resize() {
	if err := pty.InheritSize(os.Stdin, t.master); err != nil {
		logrus.Debugf("set the size of the container's terminal: %v", err)
	}
}

// Attach starts copying. If input is not nil our own terminal goes raw, because
// the container's terminal does the echoing and turns ^C into a signal for what
// runs there.
func (t *Terminal) Attach(input *os.File) {
	// As long as we hold a slave, too, the master never reports its end.
	_ = t.Slave.Close() // whatever was written through it has arrived
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	t.resize() // again, in case the size changed before Notify
	go func() {
		for range resized { // until the program ends
			t.resize()
		}
	}()
	if input != nil {
		t.copyInput(input)
	}
	t.copied = make(chan struct{})
	go t.copyOutput()
}

func (t *Terminal) copyInput(input *os.File) {
	saved, err := term.SetRawTerminal(input.Fd())
	if err != nil {
		logrus.Warnf("set the terminal raw: %v", err)
		return
	}
	t.user, t.saved = input, saved
	// This goroutine ends only with the program: nothing can interrupt a read
	// from a terminal.
	go io.Copy(t.master, input)
}

func (t *Terminal) copyOutput() {
	defer close(t.copied)
	if _, err := io.Copy(os.Stdout, output{t}); err != nil {
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.EIO) {
			logrus.Warnf("copy from the container's terminal: %v", err)
		}
		_ = t.master.Close() // hang up on the container: nobody reads its output any more
	}
}

// output reads what the container writes to its terminal, to the end. A slow
// reader of ours still gets all of it; but a process outside the PID namespace
// may keep the slave open forever, so the wait for more is limited.
type output struct{ *Terminal }

func (o output) Read(p []byte) (int, error) {
	ready := []unix.PollFd{{Fd: int32(o.master.Fd()), Events: unix.POLLIN}}
	for o.leftWait > 0 {
		start, ended := time.Now(), o.ended.Load() // asked afterwards, a wait from before the end would count
		n, err := unix.Poll(ready, 1000)
		if ended {
			o.leftWait -= time.Since(start)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, fmt.Errorf("wait for output: %w", err)
		}
		if n > 0 {
			n, err := o.master.Read(p)
			if errors.Is(err, syscall.EIO) { // the last slave has been closed
				err = io.EOF
			}
			return n, err
		}
	}
	logrus.Warn("the container's terminal is still in use: output after this is lost")
	return 0, io.EOF
}

// Close restores the user's terminal once everything that the container wrote
// to its own has been copied.
func (t *Terminal) Close() {
	if t.copied != nil {
		t.ended.Store(true)
		<-t.copied
	}
	if t.saved != nil {
		if err := term.RestoreTerminal(t.user.Fd(), t.saved); err != nil {
			logrus.Warnf("restore the terminal: %v", err)
		}
	}
	_ = t.Slave.Close() // fails only if it is closed already
	_ = t.master.Close()
}
