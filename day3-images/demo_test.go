package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func demoLeftovers(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(os.TempDir(), "go-docker-*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestDemo(t *testing.T) {
	kernelTest(t)
	before := demoLeftovers(t)
	got := finish(t, program(t, "--format", "json"))
	var r struct {
		Layers []demoLayer `json:"layers"`
		Status int         `json:"exit_status"`
		Limit  int64       `json:"limit_bytes"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.status != 0 || got.stderr != "" {
		t.Fatalf("%v: %+q", err, got)
	}
	if len(r.Layers) != 4 || r.Status != 0 || r.Limit != demoMemory {
		t.Fatalf("%+v", r)
	}
	want := []demoLayer{
		{"layer 2", []change{{"changed", "/notes/greeting"}}},
		{"layer 3", []change{{"added", "/notes/extra"}, {"deleted", "/notes/old"}}},
		{"container", []change{{"deleted", "/notes/doomed"}, {"changed", "/notes/greeting"}, {"added", "/notes/new"}}},
	}
	if !reflect.DeepEqual(r.Layers[1:], want) {
		t.Errorf("%+v", r.Layers[1:])
	}
	if after := demoLeftovers(t); !reflect.DeepEqual(before, after) {
		t.Errorf("left: %q", after)
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
	refuses(t, program(t, "--log-level", "loud"), 125, "invalid --log-level")
}
