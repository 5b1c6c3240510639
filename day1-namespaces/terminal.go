package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/moby/term"
	"github.com/sirupsen/logrus"
)

// A terminal is a pseudo-terminal, pty(7): the container has the slave as its
// terminal, with line editing and job control; we hold the master and copy
// between it and the user's terminal.
type terminal struct {
	master, slave *os.File
	saved         *term.State // the user's settings, nil while untouched
	resized       chan os.Signal
	copied        chan struct{} // closed when all output has been copied
}

func openTerminal(cmd *exec.Cmd) (*terminal, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	t := &terminal{master: master, slave: slave}
	t.resize()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	return t, nil
}

// resize gives the container's terminal the size of ours; the kernel then
// tells the programs in it with SIGWINCH.
func (t *terminal) resize() {
	if err := pty.InheritSize(os.Stdin, t.master); err != nil {
		logrus.Debugf("set the size of the container's terminal: %v", err)
	}
}

// attach starts copying. Our own terminal goes raw: the container's terminal
// does the echoing, and turns ^C into a signal for what runs there.
func (t *terminal) attach(interactive bool) {
	// While we hold a slave too, reading the master never ends.
	t.slave.Close()
	t.resized = make(chan os.Signal, 1)
	signal.Notify(t.resized, syscall.SIGWINCH)
	go func() {
		for range t.resized {
			t.resize()
		}
	}()
	t.copied = make(chan struct{})
	go func() {
		defer close(t.copied)
		_, err := io.Copy(os.Stdout, t.master)
		// EIO is how a master reports that the last slave was closed.
		if err != nil && !errors.Is(err, syscall.EIO) && !errors.Is(err, os.ErrDeadlineExceeded) {
			logrus.Warnf("copy from the container's terminal: %v", err)
		}
	}()
	if !interactive {
		return
	}
	saved, err := term.SetRawTerminal(os.Stdin.Fd())
	if err != nil {
		logrus.Warnf("set the terminal raw: %v", err)
		return
	}
	t.saved = saved
	// This ends with the program: nothing can interrupt a read of a terminal.
	go io.Copy(t.master, os.Stdin)
}

// close restores the user's terminal.
func (t *terminal) close() {
	if t.copied != nil {
		signal.Stop(t.resized)
		close(t.resized)
		select {
		case <-t.copied:
		case <-time.After(time.Second): // a process outside the PID namespace still has the slave
			logrus.Warn("the container's terminal is still in use: output after this is lost")
		}
	}
	if t.saved != nil {
		if err := term.RestoreTerminal(os.Stdin.Fd(), t.saved); err != nil {
			logrus.Warnf("restore the terminal: %v", err)
		}
	}
	t.slave.Close()
	t.master.Close()
}
