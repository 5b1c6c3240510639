package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/go-docker/day3-images/demo"
)

func TestDemo(t *testing.T) {
	kernelTest(t)
	tmp := t.TempDir() // others use /tmp meanwhile
	cmd := program(t, "--format", "json")
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	got := finish(t, cmd)
	type change struct{ Kind, Path string }
	type layer struct {
		Name    string
		Changes []change
	}
	var r struct {
		Layers []layer `json:"layers"`
		Status int     `json:"exit_status"`
		Limit  int64   `json:"limit_bytes"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.status != 0 || got.stderr != "" {
		t.Fatalf("%v: %+q", err, got)
	}
	if len(r.Layers) != 4 || r.Status != 0 || r.Limit != demo.Memory {
		t.Fatalf("%+v", r)
	}
	want := []layer{
		{"layer 2", []change{{"changed", "/notes/greeting"}}},
		{"layer 3", []change{{"added", "/notes/extra"}, {"deleted", "/notes/old"}}},
		{"container", []change{{"deleted", "/notes/doomed"}, {"changed", "/notes/greeting"}, {"added", "/notes/new"}}},
	}
	if !reflect.DeepEqual(r.Layers[1:], want) {
		t.Errorf("%+v", r.Layers[1:])
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestDemoText(t *testing.T) {
	kernelTest(t)
	got := finish(t, program(t))
	if got.status != 0 || got.stderr != "" || strings.ContainsAny(got.stdout, "\x1b\r") {
		t.Errorf("%+q", got)
	}
	width := 0
	for line := range strings.Lines(got.stdout) {
		if width == 0 {
			width = len(line)
		}
		if strings.ContainsAny(line[:1], "|+") && !strings.HasPrefix(line, "+ added") && len(line) != width {
			t.Errorf("%q is not as wide as the others", line)
		}
	}
	for _, words := range []string{"| container ", "memory limit 64MiB", "- /notes/doomed", "~ /notes/greeting", "+ /notes/new", "| layer 3 ", "read-only"} {
		if !strings.Contains(got.stdout, words) {
			t.Errorf("no %q in:\n%s", words, got.stdout)
		}
	}
}

func TestDemoRefuses(t *testing.T) {
	kernelTest(t)
	refuses(t, program(t, "--format", "xml"), 125, "invalid --format")
	refuses(t, program(t, "nosuch"), 125, "unknown command")
}

// ^C and SIGKILL while the image is built, while it runs, and during cleanup.
func TestDemoInterrupted(t *testing.T) {
	kernelTest(t)
	needStrace(t)
	tmp := t.TempDir()
	s := subject{t: t}
	newDemo := func() *exec.Cmd {
		cmd := program(t)
		cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
		return cmd
	}
	run := func(call string, n int, signal string, statuses ...int) (left bool) {
		var got outcome
		if signal == "INT" {
			got = s.interruptedAt(newDemo(), call, n)
		} else {
			got = s.inject(newDemo(), call, fmt.Sprintf("signal=%s:when=%d", signal, n)).wait()
		}
		if !slices.Contains(statuses, got.status) || strings.Contains(got.stderr, "error") {
			t.Errorf("%s at call %d of %s: %+v", signal, n, call, got)
		}
		noProcesses(t)
		if inCgroups := leftovers(t); signal == "INT" && len(inCgroups) > 0 {
			t.Errorf("%s at call %d of %s left %q", signal, n, call, inCgroups)
		}
		return len(demoNames(t, tmp)) > 0
	}
	started := time.Now()
	for _, n := range []int{1, 5, 25} {
		for _, call := range []string{"mkdirat", "renameat", "unlinkat"} {
			if inGuest() && time.Since(started) > 20*time.Second {
				continue
			}
			if run(call, n, "INT", 0, 130, -1) { // -1: strace ends as the program did
				t.Errorf("^C at call %d of %s: there is something in %s", n, call, tmp)
			}
		}
	}
	if !run("mkdirat", 8, "KILL", -1) {
		t.Error("a demo that was killed has left nothing: too early")
	}
	if got := finish(t, newDemo()); got.status != 0 {
		t.Errorf("the next demo: %+v", got)
	}
	if left := demoNames(t, tmp); len(left) > 0 {
		t.Errorf("after the next demo there is %q", left)
	}
}

// When nobody reads its output any more, the demo still cleans up.
func TestDemoWithoutReader(t *testing.T) {
	kernelTest(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	tmp := t.TempDir()
	cmd := program(t)
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	cmd.Stdout = write
	if got := finish(t, cmd); got.status != 125 || !strings.Contains(got.stderr, "broken pipe") {
		t.Errorf("%+v", got)
	}
	if left := demoNames(t, tmp); len(left) > 0 {
		t.Errorf("there is %q", left)
	}
}

func demoNames(t *testing.T, tmp string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
