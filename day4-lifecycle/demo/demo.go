// Package demo shows what the chapter has built: a container's life, from run -d
// to rm, and how it ends when its shim is killed. It grew from the programs of
// the ladder, plus: nothing left behind, whatever happens.
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/lifecycle"
	"example.com/go-docker/day4-lifecycle/lock"
	"example.com/go-docker/day4-lifecycle/logfile"
	"example.com/go-docker/day4-lifecycle/state"
	"example.com/go-docker/day4-lifecycle/store"
)

// A step is a command of the demo and what came of it.
type step struct {
	Command string `json:"command"`
	Output  string `json:"output"`
	Status  int    `json:"exit_status"`
}

// Run makes an image of this very program, and leads a container of it through
// its life, with the commands that a user would type. It needs no network and
// leaves nothing: its store is a temporary directory. The format is text or json.
func Run(ctx context.Context, format string) error {
	signal.Ignore(syscall.SIGPIPE) // without a reader we go on, and clean up
	var steps []step
	show := func(s step) {
		steps = append(steps, s)
		if format == "text" {
			fmt.Printf("$ %s\n%s", s.Command, s.Output)
		}
	}
	if err := lead(ctx, show); err != nil || format == "text" {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"steps": steps})
}

func lead(ctx context.Context, show func(step)) (err error) {
	dir, err := begin(ctx, os.TempDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir.Name()), dir.Close()) }()
	s, err := store.Open(filepath.Join(dir.Name(), "store"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(s)) }()
	if _, err := buildImage(ctx, s); err != nil {
		return err
	}
	if err := run(ctx, s, "run -d --name web demo", 0, show); err != nil {
		return err
	}
	if err := untilUp(ctx, s); err != nil {
		return err
	}
	for _, line := range []string{
		"ps", "logs web",
		"exec web /bin/day4-lifecycle payload processes",
		"stop web", "logs --tail 1 web", "ps -a", "start web",
	} {
		if err := run(ctx, s, line, 0, show); err != nil {
			return err
		}
	}
	if err := killShim(ctx, s, show); err != nil {
		return err
	}
	for _, line := range []string{"ps -a", "inspect --format {{.State.Error}} web", "rm web", "ps -a"} {
		if err := run(ctx, s, line, 0, show); err != nil {
			return err
		}
	}
	return nil
}

// killShim is what no program can guard against: its parent is killed.
func killShim(ctx context.Context, s *store.Store, show func(step)) error {
	web, err := lifecycle.Find(s, "web")
	if err != nil {
		return err
	}
	show(step{Command: fmt.Sprintf("kill -9 %d  # its shim", web.State.ShimPID)})
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
	return run(ctx, s, "exec web /bin/day4-lifecycle payload processes", 1, show)
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

// run runs this program with a command line, and expects a status.
func run(ctx context.Context, s *store.Store, line string, want int, show func(step)) error {
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
	done := step{line, out.String(), cmd.ProcessState.ExitCode()}
	show(done)
	if done.Status != want {
		return fmt.Errorf("%s: exit status %d, want %d: %s", line, done.Status, want, strings.TrimSpace(done.Output))
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
