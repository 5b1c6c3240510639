package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/go-docker/day2-cgroups/hierarchy"
)

// contained returns run with its cgroups below the tests' own.
func contained(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return program(t, append([]string{"run", "--cgroup-parent", testParent}, args...)...)
}

// controllersHere returns the controllers that the program uses on this
// machine.
func controllersHere(t testing.TB) (version int, byName map[string]hierarchy.Hierarchy) {
	t.Helper()
	version, byName, err := hierarchy.ByController()
	if err != nil {
		t.Fatal(err)
	}
	return version, byName
}

// A live container, with what its record says.
type live struct {
	*launched
	onRecord
}

type onRecord struct {
	ID      string            `json:"id"`
	PID     int               `json:"pid"`
	Version int               `json:"cgroup_version"`
	Dirs    map[string]string `json:"controllers"`
	Cgroups []string          `json:"cgroups"`
}

// begin starts a container whose command prints "ready".
func begin(t testing.TB, cmd *exec.Cmd) *live {
	t.Helper()
	l := launch(t, cmd)
	l.says("ready\n")
	paths, _ := filepath.Glob("/run/go-docker/*.json")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // another has just ended
		}
		var r onRecord
		if err := errors.Join(err, json.Unmarshal(text, &r)); err != nil {
			t.Fatal(err)
		}
		if r.PID == cmd.Process.Pid {
			return &live{l, r}
		}
	}
	t.Fatalf("no record of process %d in %q", cmd.Process.Pid, paths)
	return nil
}

// stay is a command that prints "ready" and keeps running.
var stay = []string{"sh", "-c", "echo ready; exec sleep 1000"}

// end stops the container like ^C.
func (l *live) end() outcome {
	l.t.Helper()
	l.signal(syscall.SIGTERM)
	return l.wait()
}

// inside lists the processes in the container's PID namespace except init,
// whatever cgroups they are in.
func (l *live) inside() []int {
	l.t.Helper()
	init := l.init()
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", init))
	if err != nil {
		l.t.Fatal(err)
	}
	var pids []int
	links, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, link := range links {
		its, _ := os.Readlink(link) // "": it has just ended
		pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
		if its == namespace && pid != init {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// read reads a file of the container's cgroup for a controller.
func (l *live) read(controller, file string) string {
	l.t.Helper()
	return readFile(l.t, filepath.Join(l.Dirs[controller], file))
}

// number reads one number from a file of "key number" lines.
func (l *live) number(controller, file, key string) int {
	l.t.Helper()
	text := l.read(controller, file)
	for line := range strings.Lines(text) {
		var n int
		if _, err := fmt.Sscanf(line, key+" %d", &n); err == nil {
			return n
		}
	}
	l.t.Fatalf("no %s in %s: %q", key, file, text)
	return 0
}

// testBinary is this program as a command for a container.
func testBinary(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
