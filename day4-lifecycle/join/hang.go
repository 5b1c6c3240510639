package join

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

var errEnded = errors.New("the container has just ended")

// StartWhile is Start, as long as the container runs. What a command needs may be in
// a file system that does not answer, which is nobody else's concern. When the
// container ends, such a start is abandoned: hold keeps it from running anything
// later.
func (t *Target) StartWhile(c Command, stdio [3]*os.File) (*os.Process, *os.File, error) {
	var process *os.Process
	var master *os.File
	var err error
	started := make(chan struct{})
	go func() {
		process, master, err = t.Start(c, stdio)
		_ = unix.Close(t.Init)
		close(started)
		if t.held {
			t.Held.Unlock()
		}
	}()
	select {
	case <-started:
	case <-t.Gone:
	}
	select {
	case <-started: // perhaps just before the end
		return process, master, err
	default:
		return nil, nil, errEnded
	}
}

// hold comes after all that may hang. From now on the cgroup stays as it is.
func (t *Target) hold() error {
	t.Held.Lock()
	t.held = true
	select {
	case <-t.Gone:
		return errEnded
	default:
	}
	if t.Paused() {
		return errors.New("the container is paused: unpause it first")
	}
	return nil
}

// touch opens a program and reads from it, as execve(2) will: if that hangs, let it
// hang here. Go's fork waits for execve, as vfork(2) does, in a system call that its
// scheduler knows nothing of: meanwhile nothing else runs on this processor, and no
// garbage is collected.
func touch(path string) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return // execve will say what is wrong
	}
	if file, err := os.Open(path); err == nil {
		_, _ = file.Read(make([]byte, 1))
		_ = file.Close()
	}
}
