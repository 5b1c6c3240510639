package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

func TestDemo(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	cmd := exec.Command(w.program)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	most := 10 * time.Second
	if raceEnabled { // with it, each of its processes takes a second to exit
		most = time.Minute
	}
	before := time.Now()
	got := w.finish(cmd)
	if took := time.Since(before); got.status != 0 || took > most {
		t.Fatalf("%+v after %v", got, took)
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
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
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
