package main

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func newSubject(t testing.TB) subject {
	needRoot(t) // so that strace may follow into every namespace
	needNamespaces(t)
	shareAllMounts(t) // on private mounts a leaked mount would not show
	before := strings.Split(mountInfo(t), "\n")
	return subject{
		t:    t,
		run:  func(command ...string) *exec.Cmd { return inContainer(t, command...) },
		made: func() []string { return minus(strings.Split(mountInfo(t), "\n"), before) },
	}
}

func points() []point {
	return []point{
		{"nothing", "close_range", []int{1}, false},
		{"signals are caught, a first pipe is there", "pipe2", []int{2}, false},
		{"init is born, and waits for its user ids", "write", []int{1, 2}, false},
		{"it has its user ids, but no container", "write", []int{5, 4, 3}, false},
		{"init is in namespaces, and not yet this program", "setsid", []int{1}, true},
		{"it is this program, and has its container", "mount", []int{1}, true},
		{"its mounts are private", "mount", []int{2}, true},
		{"it has a /proc", "sethostname", []int{1}, true},
		{"it has a host name", "ioctl", []int{1}, true},
		{"the command runs", "wait4", []int{1}, true},
		{"the parent waits for init", "waitid", []int{3, 2, 1}, false},
		{"all has ended but the parent itself", "exit_group", []int{1}, false},
	}
}

// Day 1 writes nothing, so it needs no place to write to.
func TestEverythingIsReadOnly(t *testing.T) {
	s := newSubject(t)
	cmd := throughShell(s.run("echo", "alive"), `exec "$@"`)
	// Except /proc, where the id maps are written. The mounts are this thread's
	// own (see shareAllMounts).
	readOnly, writable := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, readOnly)
	if err == nil {
		err = unix.MountSetattr(unix.AT_FDCWD, "/proc", unix.AT_RECURSIVE, writable)
	}
	if err != nil {
		t.Fatal(err)
	}
	finish(t, cmd).want(t, "alive\n")
	refused := throughShell(s.run("touch", "/run/x"), `exec "$@"`)
	if got := finish(t, refused); got.status != 1 || !strings.Contains(got.stderr, "Read-only file system") {
		t.Errorf("it was not read-only: %+v", got)
	}
}
