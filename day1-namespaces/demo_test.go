package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"example.com/go-docker/day1-namespaces/namespace"
)

func TestDemoTable(t *testing.T) {
	needNamespaces(t)
	got := finish(t, program(t))
	header, rows, _ := strings.Cut(strings.TrimSpace(got.stdout), "\n")
	if got.status != 0 || got.stderr != "" || !regexp.MustCompile(`^NAMESPACE +HOST +CONTAINER$`).MatchString(header) {
		t.Errorf("%+v", got)
	}
	row := regexp.MustCompile(`^([a-z]+) +(\d+) +(\S.*\S|\S) +(\d+) +\S`)
	lines := strings.Split(rows, "\n")
	if len(lines) != len(namespace.Kinds) {
		t.Fatalf("%d rows, want %d: %q", len(lines), len(namespace.Kinds), lines)
	}
	for i, line := range lines {
		m := row.FindStringSubmatch(line)
		if m == nil || m[1] != namespace.Kinds[i].Name || m[2] != inodeOf(t, namespace.Kinds[i]) || m[2] == m[4] {
			t.Errorf("row %q for %s", line, namespace.Kinds[i].Name)
		}
	}
}

func TestDemoJSON(t *testing.T) {
	needNamespaces(t)
	got := finish(t, program(t, "--format", "json"))
	type fact struct{ Namespace, Inode, Sees string }
	var report struct {
		Namespaces []struct {
			Namespace       string
			Host, Container fact
		}
	}
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || got.status != 0 || got.stderr != "" {
		t.Fatalf("%v: %+v", err, got)
	}
	if _, err := decoder.Token(); err != io.EOF {
		t.Errorf("more than one object: %q", got.stdout)
	}
	ours, _ := os.Hostname()
	sees := map[string][2]string{ // patterns
		"uts":    {regexp.QuoteMeta(ours), `[0-9a-f]{12}`},
		"ipc":    {`[1-9]\d* shared memory segments?`, `0 shared memory segments`},
		"pid":    {`pid \d+ of ([3-9]|\d{2,}) processes`, `pid \d+ of 2 processes`},
		"mount":  {`\d+ mounts, \d+ shared`, `\d+ mounts, 0 shared`},
		"net":    {`lo.*`, `lo`},
		"user":   {`uid \d+, .*`, `uid 0.*, may not raise its priority`},
		"cgroup": {`/.*`, `/`},
	}
	if len(report.Namespaces) != len(namespace.Kinds) {
		t.Fatalf("%d namespaces, want %d", len(report.Namespaces), len(namespace.Kinds))
	}
	for i, ns := range namespace.Kinds {
		c := report.Namespaces[i]
		if c.Namespace != ns.Name || c.Host.Namespace != ns.Name || c.Container.Namespace != ns.Name {
			t.Errorf("%+v, want %s", c, ns.Name)
		}
		if c.Host.Inode != inodeOf(t, ns) || c.Host.Inode == c.Container.Inode {
			t.Errorf("%s: host %s, container %s", ns.Name, c.Host.Inode, c.Container.Inode)
		}
		for side, text := range []string{c.Host.Sees, c.Container.Sees} {
			if !regexp.MustCompile("^(" + sees[ns.Name][side] + ")$").MatchString(text) {
				t.Errorf("%s: %q, want %q", ns.Name, text, sees[ns.Name][side])
			}
		}
	}
}

// inodeOf returns the identity of one of our namespaces as the demo writes it.
func inodeOf(t *testing.T, ns namespace.Kind) string {
	t.Helper()
	return strings.Trim(namespaceOf(t, os.Getpid(), ns), ns.File+":[]")
}

func TestDemoLeavesNoSharedMemory(t *testing.T) {
	needNamespaces(t)
	demo := launch(t, program(t))
	demo.wait()
	text, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	for segment := range strings.Lines(string(text)) {
		// key shmid perms size cpid lpid ..., proc(5)
		if f := strings.Fields(segment); f[4] == fmt.Sprint(demo.cmd.Process.Pid) {
			t.Errorf("left: %s", segment)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"run", "--help"}} {
		got := finish(t, program(t, args...))
		if got.status != 0 || got.stderr != "" || !strings.Contains(got.stdout, "USAGE:") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
