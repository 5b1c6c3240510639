package ours

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Process is one of /proc.
type Process struct {
	PID, Parent int
	Zombie      bool   // it has ended, and its parent has not asked how
	Command     string // its arguments, or (NAME) if it has none
}

func (p Process) String() string { return fmt.Sprintf("process %d %s", p.PID, p.Command) }

// Descendants lists the processes below this one, ended ones included.
func Descendants() ([]Process, error) {
	all, err := Processes()
	if err != nil {
		return nil, err
	}
	ours := map[int]bool{os.Getpid(): true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if ours[p.Parent] && !ours[p.PID] {
				ours[p.PID], grown = true, true
			}
		}
	}
	var found []Process
	for _, p := range all {
		if ours[p.PID] && p.PID != os.Getpid() {
			found = append(found, p)
		}
	}
	return found, nil
}

// Processes lists all that this one can see.
func Processes() ([]Process, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // ended since
		}
		if err != nil {
			return nil, err
		}
		p, err := parseStat(string(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", stat, err)
		}
		if cmdline, _ := os.ReadFile(filepath.Dir(stat) + "/cmdline"); len(cmdline) > 0 {
			p.Command = string(bytes.TrimSpace(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
		all = append(all, p)
	}
	return all, nil
}

// parseStat reads "PID (COMM) STATE PPID ...", proc_pid_stat(5). COMM may hold
// blanks and parentheses, so the last parenthesis is the one that counts.
func parseStat(stat string) (Process, error) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 1 || end < open {
		return Process{}, fmt.Errorf("not a process's stat: %q", stat)
	}
	rest := strings.Fields(stat[end+1:])
	if len(rest) < 2 {
		return Process{}, fmt.Errorf("not a process's stat: %q", stat)
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(stat[:open]))
	parent, err2 := strconv.Atoi(rest[1])
	return Process{
		PID:     pid,
		Parent:  parent,
		Zombie:  rest[0] == "Z" || rest[0] == "X",
		Command: stat[open : end+1],
	}, errors.Join(err1, err2)
}
