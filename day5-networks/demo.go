package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/logfile"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
)

func demoFlags() []urfave.Flag {
	return []urfave.Flag{&urfave.StringFlag{Name: "format", Value: "text", Usage: "`text` or json"}}
}

// A demoStep is a command of the demo and what came of it.
type demoStep struct {
	Command string `json:"command"`
	Output  string `json:"output"`
	Status  int    `json:"exit_status"`
}

// demo makes an image of this very program, and leads a container of it through
// its life, with the commands that a user would type. It needs no network and
// leaves nothing: its store is a temporary directory.
func demo(ctx *urfave.Context) error {
	format := ctx.String("format")
	if err := requireRoot(); err != nil {
		return err
	}
	var steps []demoStep
	show := func(step demoStep) {
		steps = append(steps, step)
		if format == "text" {
			fmt.Printf("$ %s\n%s", step.Command, step.Output)
		}
	}
	err := interruptible(func(ctx context.Context) error { return demoUntil(ctx, show) })
	if err == nil && format == "json" {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"steps": steps})
	}
	return err
}

func demoUntil(ctx context.Context, show func(demoStep)) (err error) {
	_, dir, err := beginDemo(os.TempDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir.Name()), dir.Close()) }()
	s, err := store.Open(filepath.Join(dir.Name(), "store"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(s)) }()
	if _, err := buildDemoImage(ctx, s); err != nil {
		return err
	}
	if err := demoStepOf(ctx, s, "run -d --name web demo", 0, show); err != nil {
		return err
	}
	if err := untilUp(ctx, s); err != nil {
		return err
	}
	for _, line := range []string{
		"ps", "logs web",
		"exec web /bin/day5-networks payload processes",
		"stop web", "logs --tail 1 web", "ps -a", "start web",
	} {
		if err := demoStepOf(ctx, s, line, 0, show); err != nil {
			return err
		}
	}
	if err := killShim(ctx, s, show); err != nil {
		return err
	}
	for _, line := range []string{"ps -a", "inspect --format {{.State.Error}} web", "rm web", "ps -a"} {
		if err := demoStepOf(ctx, s, line, 0, show); err != nil {
			return err
		}
	}
	return nil
}

// killShim is what no program can guard against: its parent is killed.
func killShim(ctx context.Context, s *store.Store, show func(demoStep)) error {
	web, err := lifecycle.Find(s, "web")
	if err != nil {
		return err
	}
	show(demoStep{Command: fmt.Sprintf("kill -9 %d  # its shim", web.State.ShimPID)})
	if err := unix.Kill(web.State.ShimPID, unix.SIGKILL); err != nil {
		return fmt.Errorf("kill the shim: %w", err)
	}
	err = lock.Poll(ctx, func() (bool, error) { // the kernel takes a moment
		web, err := lifecycle.Find(s, "web")
		return err == nil && !web.State.Live(), err
	})
	if err != nil {
		return err
	}
	if err := demoStepOf(ctx, s, "exec web /bin/day5-networks payload processes", 1, show); err != nil {
		return err
	}
	return nil
}

// untilUp waits until the container has said so. run -d has returned when its
// command was executed, which then takes a moment to get anywhere.
func untilUp(ctx context.Context, s *store.Store) error {
	web, err := lifecycle.Find(s, "web")
	if err != nil {
		return err
	}
	return lock.Poll(ctx, func() (bool, error) {
		lines := 0
		err := logfile.Read(ctx, filepath.Join(web.Dir, state.LogFile), logfile.Query{Tail: -1}, nil, func(*logfile.Entry) error {
			lines++
			return nil
		})
		return lines == 2, err
	})
}

// demoStepOf runs this program with a command line, and expects a status.
func demoStepOf(ctx context.Context, s *store.Store, line string, want int, show func(demoStep)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"--root", s.Root}, strings.Fields(line)...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for us: we remove all
	if err := cmd.Run(); cmd.ProcessState == nil {
		return err
	}
	step := demoStep{line, out.String(), cmd.ProcessState.ExitCode()}
	show(step)
	if step.Status != want {
		return fmt.Errorf("%s: exit status %d, want %d: %s", line, step.Status, want, strings.TrimSpace(step.Output))
	}
	return nil
}

// removeAll removes all containers of a store.
func removeAll(s *store.Store) error {
	all, err := lifecycle.List(s)
	for _, c := range all {
		err = errors.Join(err, c.Remove(true))
	}
	return err
}
