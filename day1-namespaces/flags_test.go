package main

import (
	"fmt"
	"regexp"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day1-namespaces/cli"
	"example.com/go-docker/day1-namespaces/container"
)

// A parsed command line is what run makes of its flags.
type parsed struct {
	*container.Container
	interactive bool
}

// parse is the run command up to the point where it would start something.
func parse(args ...string) (p parsed, err error) {
	app := newApp()
	app.Command("run").Action = func(ctx *urfave.Context) (err error) {
		p.interactive = ctx.Bool("interactive")
		p.Container, err = containerFromFlags(ctx)
		return err
	}
	if status := cli.Run(app, append([]string{"go-docker", "run"}, args...)); status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	return p, err
}

func TestFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		ok   func(p parsed) bool
	}{
		{[]string{"sh"}, func(p parsed) bool { return !p.interactive && !p.TTY && p.Init }},
		{[]string{"-i", "sh"}, func(p parsed) bool { return p.interactive }},
		{[]string{"--interactive", "sh"}, func(p parsed) bool { return p.interactive }},
		{[]string{"-it", "sh"}, func(p parsed) bool { return p.interactive }},
		{[]string{"-ti", "sh"}, func(p parsed) bool { return p.interactive }},
		{[]string{"-t", "-i", "sh"}, func(p parsed) bool { return p.interactive }},
		{[]string{"--init=false", "sh"}, func(p parsed) bool { return !p.Init }},
		{[]string{"--hostname", "box", "sh"}, func(p parsed) bool { return p.Hostname == "box" }},
		{[]string{"-hostname", "box", "sh"}, func(p parsed) bool { return p.Hostname == "box" }},
		{[]string{"sh"}, func(p parsed) bool { return p.Hostname == p.ID }},
	} {
		p, err := parse(test.args...)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
		} else if !test.ok(p) {
			t.Errorf("%q: %+v", test.args, p.Container)
		}
	}
}

func TestIDsAreDockers(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := container.NewID()
		if seen[id] || !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(id) {
			t.Fatalf("id %q, seen %v", id, seen[id])
		}
		seen[id] = true
	}
}
