package namespace

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// InNet calls start, which makes a process, so that the process is born in the
// network namespace netns; nil is ours. If the process entered it later, the
// threads that it has by then would stay outside, because setns(2) moves only
// the calling thread.
//
// The calling thread goes there and back. The caller must have locked it,
// because the process dies with the thread that made it.
func InNet(netns *os.File, start func() error) (err error) {
	if netns == nil {
		return start()
	}
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer own.Close()
	if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	defer func() {
		if errBack := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); errBack != nil {
			err = errors.Join(err, fmt.Errorf("leave the network namespace again: %w", errBack))
		}
	}()
	return start()
}
