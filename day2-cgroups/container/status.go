package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Docker's exit statuses for a command that never ran.
const (
	RuntimeError = 125 // bad options, or the container could not be set up
	CannotInvoke = 126 // the command was found but could not be executed
	NotFound     = 127 // the command was not found
)

// A StatusError carries the program's exit status. If Err is nil there is
// nothing to print: the container's command ran and exited with this status.
type StatusError struct {
	Status int
	Err    error
}

func (e StatusError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

func (e StatusError) Unwrap() error { return e.Err }

// statusOf follows the shell and Docker: a process killed by a signal has no
// exit status of its own, so it gets 128 plus the signal's number.
func statusOf(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// cannotRun distinguishes "not found" from "found but not executable".
func cannotRun(name string, err error) StatusError {
	if cause := errors.Unwrap(err); cause != nil {
		err = cause // exec.LookPath repeats the name
	}
	status := CannotInvoke
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		status = NotFound
	}
	return StatusError{status, fmt.Errorf("exec %q: %w", name, err)}
}

// cannotStart names the system call that failed, because ForkExec returns only
// its error number. EAGAIN comes from clone(2) and EPERM from ioctl_tty(2):
// execve(2) returns EAGAIN only after a change of user, and EPERM only for a
// traced process.
func cannotStart(c *Container, err error) error {
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("fork to run %q: %w", c.Args[0], err)
	case errors.Is(err, syscall.EPERM) && c.TTY:
		return fmt.Errorf("make the terminal that of %q, TIOCSCTTY: %w: it is another session's already", c.Args[0], err)
	}
	return cannotRun(c.Args[0], err)
}
