package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func needNamespaces(t testing.TB) {
	t.Helper()
	err := canClone()
	need(t, err == nil, fmt.Sprintf("a machine that lets us make namespaces: %v", err))
}

var canClone = sync.OnceValue(func() error {
	cmd := exec.Command("mount", "--make-rprivate", "/")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	return cmd.Run()
})

// inContainer is the program's run command.
func inContainer(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	needNamespaces(t)
	return program(t, append([]string{"run"}, args...)...)
}

// command returns the process id, as seen from here, of the container's
// command, which must be running already. With --init=false it is the first
// process.
func (l *launched) command() int {
	l.t.Helper()
	init := l.init()
	if len(children(init)) == 0 {
		return init
	}
	return l.onlyChild(init)
}
