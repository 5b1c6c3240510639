package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Docker's exit statuses for a command that never ran.
const (
	exitRuntimeError = 125 // bad options, or the container could not be set up
	exitCannotInvoke = 126 // the command was found but could not be executed
	exitNotFound     = 127 // the command was not found
)

// A statusError carries the exit status of the program. A nil err means there
// is nothing to say: the container's command ran and ended with this status.
type statusError struct {
	status int
	err    error
}

func (e statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e statusError) Unwrap() error { return e.err }

// withStatus turns a container's exit status into an error for the one exit in
// main: nil for 0.
func withStatus(status int, err error) error {
	if err != nil || status == 0 {
		return err
	}
	return statusError{status: status}
}

// statusOf is the shell's rule, and Docker's: a process that a signal killed
// has no exit status of its own and gets 128 + the signal's number.
func statusOf(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// cannotRun tells "not found" from "found, but cannot be executed".
func cannotRun(name string, err error) statusError {
	if cause := errors.Unwrap(err); cause != nil {
		err = cause // exec.LookPath repeats the name
	}
	status := exitCannotInvoke
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		status = exitNotFound
	}
	return statusError{status, fmt.Errorf("exec %q: %w", name, err)}
}
