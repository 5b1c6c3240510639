package main

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day2-cgroups/container"
)

func newSubject(t testing.TB) subject {
	kernelTest(t) // shared mounts, an empty /run
	before := strings.Split(mountTable(t), "\n")
	return subject{
		t: t,
		run: func(command ...string) *exec.Cmd {
			return contained(t, append([]string{"-m", "100m", "--pids-limit", "50"}, command...)...)
		},
		made: func() []string { return append(minus(strings.Split(mountTable(t), "\n"), before), leftovers(t)...) },
	}
}

func points() []point {
	c := cgroupsOfOne()
	return []point{
		{"nothing", "mkdirat", []int{1}, false},
		{"the record is there, but has no name", "linkat", []int{1}, false},
		{"the record has its name, there is no cgroup", "mkdirat", []int{2}, false},
		{"the parents are there, no cgroup of its own", "mkdirat", []int{2 + c}, false},
		{"there are cgroups, but not all", "mkdirat", []int{1 + 2*c}, false},
		{"a limit is to be set", "write", []int{2}, false},
		{"a limit is set, others are not", "write", []int{4, 3}, false},
		{"the cgroup is ready", "close_range", []int{1}, false},
		{"a first pipe is there", "pipe2", []int{2}, false},
		{"init is born, and waits for its user ids", "write", []int{5, 6}, false},
		{"it has its user ids, but no container", "write", []int{9, 8, 7}, false},
		{"init is in namespaces, and not yet this program", "setsid", []int{1}, true},
		{"it is this program, and has its container", "mount", []int{1}, true},
		{"its mounts are private", "mount", []int{2}, true},
		{"it has a /proc", "sethostname", []int{1}, true},
		{"it has a host name", "ioctl", []int{1}, true},
		{"the command runs", "wait4", []int{1}, true},
		{"the parent waits for init", "waitid", []int{3, 2, 1}, false},
		{"init has ended, no cgroup is removed", "unlinkat", []int{1}, false},
		{"the cgroups are removed, the record is not", "unlinkat", []int{1 + c}, false},
		{"all has ended but the parent itself", "exit_group", []int{1}, false},
	}
}

// The records' directory has no room, then a little, until it has enough.
func TestNoRoom(t *testing.T) {
	s := newSubject(t)
	failed := 0
	for inodes := 1; ; inodes++ {
		script := fmt.Sprintf(`mount -t tmpfs -o size=4k,nr_inodes=%d tmpfs /run && exec "$@"`, inodes)
		cmd := throughShell(s.run("echo", "alive"), script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		got := finish(t, cmd)
		s.survives(fmt.Sprintf("%d inodes in /run: %+v", inodes, got))
		if got == (outcome{0, "alive\n", ""}) {
			break
		}
		failed++
		if got.status != container.RuntimeError {
			t.Errorf("%d inodes: %+v", inodes, got)
		}
		got.wantOneError(t, "no space left on device")
	}
	if failed < 2 {
		t.Errorf("failed only %d times", failed)
	}
}

func TestReadOnlyRun(t *testing.T) {
	s := newSubject(t)
	cmd := throughShell(s.run("true"), `mount -t tmpfs -o ro tmpfs /run && exec "$@"`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	refuses(t, cmd, container.RuntimeError, "/run/go-docker: read-only file system")
	s.survives("a read-only /run")
}
