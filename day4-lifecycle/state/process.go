package state

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
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
