package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"example.com/go-docker/scripts/internal/ours"
	"golang.org/x/sys/unix"
)

// descendants lists the processes below this one. Orphans that have ended are
// not leaks: we only have to reap them.
func descendants() ([]ours.Process, error) {
	reap()
	return ours.Descendants()
}

func reap() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
	}
}

// killChildren kills what the command left running. Only our own children are
// signalled: their numbers cannot be used again before we reap them. The
// children of those become ours when they die, and the next round's.
func killChildren(spare map[int]bool) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		reap()
		all, err := ours.Processes()
		if err != nil {
			return err
		}
		var left []ours.Process
		for _, p := range all {
			if p.Parent == os.Getpid() && !spare[p.PID] {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			return nil
		}
		for _, p := range left {
			// ESRCH only says that it has ended by itself; EPERM shows at the deadline.
			_ = unix.Kill(p.PID, unix.SIGKILL)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot kill %v: frozen, or waiting in the kernel", left)
		}
	}
}
