package main

import (
	"regexp"
	"testing"

	"github.com/urfave/cli/v2"
)

// parse is the run command up to the point where it would start something.
func parse(args ...string) (c *Container, err error) {
	app := newApp()
	app.Command("run").Action = func(ctx *cli.Context) (err error) {
		c, err = containerFromFlags(ctx)
		return err
	}
	return c, app.Run(append([]string{"go-docker", "run"}, args...))
}

func TestFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		ok   func(c *Container) bool
	}{
		{[]string{"sh"}, func(c *Container) bool { return !c.Interactive && !c.TTY && c.Init && c.Dir == "" }},
		{[]string{"-i", "sh"}, func(c *Container) bool { return c.Interactive }},
		{[]string{"--interactive", "sh"}, func(c *Container) bool { return c.Interactive }},
		{[]string{"-it", "sh"}, func(c *Container) bool { return c.Interactive }},
		{[]string{"-ti", "sh"}, func(c *Container) bool { return c.Interactive }},
		{[]string{"-t", "-i", "sh"}, func(c *Container) bool { return c.Interactive }},
		{[]string{"-tie", "A=1", "sh"}, func(c *Container) bool { return c.Interactive && last(c.Env) == "A=1" }},
		{[]string{"--init=false", "sh"}, func(c *Container) bool { return !c.Init }},
		{[]string{"-w", "/", "sh"}, func(c *Container) bool { return c.Dir == "/" }},
		{[]string{"--workdir=/", "sh"}, func(c *Container) bool { return c.Dir == "/" }},
		{[]string{"--hostname", "box", "sh"}, func(c *Container) bool { return c.Hostname == "box" }},
		{[]string{"-hostname", "box", "sh"}, func(c *Container) bool { return c.Hostname == "box" }},
		{[]string{"sh"}, func(c *Container) bool { return c.Hostname == c.ID }},
		{[]string{"-e", "A=1,2,3", "sh"}, func(c *Container) bool { return last(c.Env) == "A=1,2,3" }},
		{[]string{"--env", "A=b=c", "sh"}, func(c *Container) bool { return last(c.Env) == "A=b=c" }},
	} {
		c, err := parse(test.args...)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
		} else if !test.ok(c) {
			t.Errorf("%q: %+v", test.args, c)
		}
	}
}

func last(list []string) string { return list[len(list)-1] }

func TestIDsAreDockers(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id, err := newID()
		if err != nil || seen[id] || !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(id) {
			t.Fatalf("id %q, seen %v, error %v", id, seen[id], err)
		}
		seen[id] = true
	}
}
