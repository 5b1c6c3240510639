package main

import (
	"slices"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

// The help of every command, and of those below it, fits in 100 columns.
func TestHelpIsNotTooWide(t *testing.T) {
	w := newWorld(t)
	var show func(before []string, c *urfave.Command)
	show = func(before []string, c *urfave.Command) {
		args := append(slices.Clone(before), c.Name)
		got := w.ok(append(args, "--help")...)
		if !strings.Contains(got, "--help") {
			t.Errorf("%q: %s", args, got)
		}
		for line := range strings.Lines(got) {
			if width := len([]rune(strings.TrimSuffix(line, "\n"))); width > 100 {
				t.Errorf("%q: %d columns: %s", args, width, line)
			}
		}
		for _, sub := range c.Subcommands {
			show(args, sub)
		}
	}
	for _, c := range newApp().Commands {
		if !c.Hidden {
			show(nil, c)
		}
	}
}
