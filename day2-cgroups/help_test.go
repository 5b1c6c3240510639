package main

import (
	"os/exec"
	"strings"
	"testing"
)

// Every command's help fits in 100 columns.
func TestHelpIsNotTooWide(t *testing.T) {
	shows := func(cmd *exec.Cmd) {
		t.Helper()
		got := finish(t, cmd)
		if got.status != 0 || got.stderr != "" || !strings.Contains(got.stdout, "--help") {
			t.Errorf("%q: %+v", cmd.Args, got)
		}
		for line := range strings.Lines(got.stdout) {
			if width := len([]rune(strings.TrimSuffix(line, "\n"))); width > 100 {
				t.Errorf("%q: %d columns: %s", cmd.Args, width, line)
			}
		}
	}
	shows(program(t, "--help"))
	for _, c := range newApp().Commands {
		if !c.Hidden {
			shows(program(t, c.Name, "--help"))
		}
	}
}
