package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/boot"
)

// StartTime is when a process began, in ticks since the machine did: with it a
// process id is not mistaken for that of a later process.
func StartTime(pid int) (uint64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Stopped tells whether somebody has stopped a process, with SIGSTOP.
func Stopped(pid int) bool {
	fields, err := stat(pid)
	return err == nil && fields[0] == "T"
}

// stat returns what the kernel says of a process, from the third field on.
// proc_pid_stat(5)
func stat(pid int) ([]string, error) {
	const path = "/proc/%d/stat"
	text, err := os.ReadFile(fmt.Sprintf(path, pid))
	if err != nil {
		return nil, err
	}
	// The second field is a name in parentheses, in which anything can be.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return nil, &fs.PathError{Op: "parse", Path: fmt.Sprintf(path, pid), Err: fs.ErrInvalid}
	}
	return fields, nil
}

// Claim makes a process the shim that the state speaks of.
func (s *State) Claim(pid int) (err error) {
	if s.BootID, err = boot.ID(); err != nil {
		return err
	}
	s.ShimPID = pid
	s.ShimStart, err = StartTime(s.ShimPID)
	return err
}

// KillShim kills the shim: a process with the number that it has recorded, and
// which began when it did. The error Is unix.ESRCH if there is none.
func (s *State) KillShim() error {
	fd, err := unix.PidfdOpen(s.ShimPID, 0)
	if err != nil {
		return fmt.Errorf("open the shim, process %d: %w", s.ShimPID, err)
	}
	defer unix.Close(fd)
	// Opened first, asked afterwards.
	thisBoot, errBoot := boot.ID()
	began, errBegan := StartTime(s.ShimPID)
	if err := errors.Join(errBoot, errBegan); err != nil || thisBoot != s.BootID || began != s.ShimStart {
		return fmt.Errorf("process %d is not the container's shim any more: %w", s.ShimPID, errors.Join(unix.ESRCH, err))
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("kill the shim, process %d: %w", s.ShimPID, err)
	}
	for range 100 { // its pidfd can then be "read"
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return fmt.Errorf("the shim, process %d, does not die", s.ShimPID)
}
