package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day1-namespaces/namespace"
)

var namespaceTests = []struct {
	flags string
	want  uintptr
}{
	{"", unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUSER | unix.CLONE_NEWCGROUP},
	{"--uts", unix.CLONE_NEWUTS},
	{"--ipc", unix.CLONE_NEWIPC},
	{"--pid", unix.CLONE_NEWPID},
	{"--mount", unix.CLONE_NEWNS},
	{"--net", unix.CLONE_NEWNET},
	{"--user", unix.CLONE_NEWUSER},
	{"--cgroup", unix.CLONE_NEWCGROUP},
	{"--pid --mount", unix.CLONE_NEWPID | unix.CLONE_NEWNS},
	{"--uts --ipc --net --cgroup", unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP},
}

// wanted adds the namespace that a plain user needs to make the others.
func wanted(namespaces uintptr) uintptr {
	if os.Geteuid() != 0 {
		namespaces |= unix.CLONE_NEWUSER
	}
	return namespaces
}

func TestNamespaceFlags(t *testing.T) {
	for _, test := range namespaceTests {
		p, err := parse(append(strings.Fields(test.flags), "true")...)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.Namespaces, wanted(test.want); got != want {
			t.Errorf("%q: clone flags %#x, want %#x", test.flags, got, want)
		}
	}
}

func TestNamespacesAreNewExactlyAsAsked(t *testing.T) {
	for _, init := range []string{"--init=true", "--init=false"} {
		for _, test := range namespaceTests {
			t.Run(init+" "+test.flags, func(t *testing.T) {
				args := append(strings.Fields(test.flags), init, "sh", "-c", "echo ready; exec sleep 1000")
				c := launch(t, inContainer(t, args...))
				c.says("ready")
				pid := c.command()
				for _, kind := range namespace.Kinds {
					ours, theirs := namespaceOf(t, os.Getpid(), kind), namespaceOf(t, pid, kind)
					if isNew, want := ours != theirs, wanted(test.want)&kind.Flag != 0; isNew != want {
						t.Errorf("new %s namespace: %v, want %v", kind.Name, isNew, want)
					}
				}
			})
		}
	}
}

func namespaceOf(t *testing.T, pid int, kind namespace.Kind) string {
	t.Helper()
	inode, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind.File))
	if err != nil {
		t.Fatal(err)
	}
	return inode
}
