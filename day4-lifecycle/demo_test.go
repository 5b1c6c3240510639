package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

func TestDemo(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	cmd := exec.Command(w.program)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "TMPDIR="+t.TempDir())
	got := w.finish(cmd) // which takes seconds, but on a busy machine some more
	if got.status != 0 {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{
		`(?m)^\$ ps\n.*\n.* Up .* web$`, `(?m)^\$ logs web\n(and this is my standard error\n)?I am up$`, `(?m)^ +1 +\S+ init$`, `(?m) payload processes$`,
		`(?m)^I go: terminated$`, `(?m)Exited \(0\) .* web$`, `(?m)not running$`, `(?m)Exited \(137\) .* web$`, `was killed`, `(?m)NAMES\n\z`,
	} {
		if !regexp.MustCompile(want).MatchString(got.stdout) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
	cmd = exec.Command(w.program, "--format", "json")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "TMPDIR="+t.TempDir())
	var steps struct {
		Steps []struct {
			Command string `json:"command"`
			Status  int    `json:"exit_status"`
		} `json:"steps"`
	}
	if got := w.finish(cmd); json.Unmarshal([]byte(got.stdout), &steps) != nil || len(steps.Steps) < 10 || steps.Steps[0].Command != "run -d --name web demo" {
		t.Errorf("as JSON: %+v", got)
	}
}

// When nobody reads its output any more, the demo still cleans up.
func TestDemoWithoutReader(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	tmp := t.TempDir()
	cmd := exec.Command(w.program)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "TMPDIR="+tmp)
	cmd.Stdout = write
	if err := cmd.Run(); cmd.ProcessState == nil || !cmd.ProcessState.Exited() {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
