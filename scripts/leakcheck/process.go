package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

type process struct {
	pid, parent int
	zombie      bool
	command     string
}

func (p process) String() string { return fmt.Sprintf("process %d %s", p.pid, p.command) }

// descendants lists the living processes below this one. Orphans that have
// ended are not leaks, only ours to bury.
func descendants() ([]process, error) {
	reap()
	all, err := processes()
	if err != nil {
		return nil, err
	}
	ours := map[int]bool{os.Getpid(): true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if ours[p.parent] && !ours[p.pid] {
				ours[p.pid], grown = true, true
			}
		}
	}
	var found []process
	for _, p := range all {
		if ours[p.pid] && p.pid != os.Getpid() && !p.zombie {
			found = append(found, p)
		}
	}
	return found, nil
}

func processes() ([]process, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []process
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
			p.command = string(bytes.TrimSpace(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
		all = append(all, p)
	}
	return all, nil
}

// parseStat reads "PID (COMM) STATE PPID ...", proc_pid_stat(5). COMM may hold
// blanks and parentheses, so the last parenthesis is the one that counts.
func parseStat(stat string) (process, error) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 1 || end < open {
		return process{}, fmt.Errorf("not a process's stat: %q", stat)
	}
	rest := strings.Fields(stat[end+1:])
	if len(rest) < 2 {
		return process{}, fmt.Errorf("not a process's stat: %q", stat)
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(stat[:open]))
	parent, err2 := strconv.Atoi(rest[1])
	return process{
		pid:     pid,
		parent:  parent,
		zombie:  rest[0] == "Z" || rest[0] == "X",
		command: stat[open : end+1],
	}, errors.Join(err1, err2)
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
	for deadline := time.Now().Add(grace); ; time.Sleep(10 * time.Millisecond) {
		reap()
		all, err := processes()
		if err != nil {
			return err
		}
		var left []process
		for _, p := range all {
			if p.parent == os.Getpid() && !spare[p.pid] {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot kill %v: frozen, or waiting in the kernel", left)
		}
		for _, p := range left {
			// ESRCH only says that it has ended by itself; EPERM shows at the deadline.
			_ = unix.Kill(p.pid, unix.SIGKILL)
		}
	}
}
