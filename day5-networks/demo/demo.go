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

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/store"
)

// A step is a command of the demo and what came of it.
type step struct {
	Command string `json:"command"`
	Output  string `json:"output"`
	Status  int    `json:"exit_status"`
}

// Run shows the chapter, as text or json, in a process of its own with a new
// network namespace: command, which calls Show there. So nothing of it touches
// the machine's own network; not even the removal of what a killed demo has left.
func Run(format, command string) error {
	cmd := exec.Command("/proc/self/exe", "--format", format, command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL,
		Setpgid: true, // ^C is passed on, once
	}
	signals := container.CatchSignals()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the demo in a network namespace of its own: %w", err)
	}
	go func() {
		for sig := range signals.Caught() {
			_ = cmd.Process.Signal(sig) // it may just have ended
		}
	}()
	if err := cmd.Wait(); cmd.ProcessState == nil {
		return err
	}
	if status := container.StatusOf(cmd.ProcessState.Sys().(syscall.WaitStatus)); status != 0 {
		return container.StatusError{Status: status}
	}
	return nil
}

// Show is for that process.
func Show(ctx context.Context, format string) error {
	signal.Ignore(syscall.SIGPIPE) // without a reader we go on, and clean up
	text := format == "text"
	d := &demonstration{Steps: []step{}, show: func(format string, args ...any) {
		if text {
			fmt.Printf(format, args...)
		}
	}}
	if err := d.until(ctx); err != nil || text {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(d)
}

// A demonstration is a demo that goes on.
type demonstration struct {
	Steps []step `json:"steps"`
	Paths []Path `json:"paths"`
	show  func(format string, args ...any)
	store *store.Store
	world *World
}

// until makes the world, an image of this very program and containers of it, and
// sends requests along every path. It leaves nothing: its store is a temporary
// directory.
func (d *demonstration) until(ctx context.Context) (err error) {
	if err := aloneInNetns(); err != nil {
		return err
	}
	dir, err := begin(ctx, os.TempDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir.Name()), dir.Close()) }()
	if d.world, err = NewWorld(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.world.Close()) }()
	if d.store, err = store.Open(filepath.Join(dir.Name(), "store")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(d.store)) }()
	if _, err := buildImage(ctx, d.store); err != nil {
		return err
	}
	for _, line := range []string{
		"network create --driver bridge other",
		"run -d --name web -p 8080:80 -p 8080:80/udp demo serve web",
		"run -d --name box demo",
		"run -d --name far --network other demo",
		"ps",
	} {
		if err := d.do(ctx, line); err != nil {
			return err
		}
	}
	if err := d.tryPaths(ctx); err != nil {
		return err
	}
	for _, line := range []string{"rm -f web box far", "network rm other", "network ls"} {
		if err := d.do(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// do runs this program with a command line, and shows it.
func (d *demonstration) do(ctx context.Context, line string) error {
	output, status, err := d.run(ctx, strings.Fields(line)...)
	if err != nil {
		return err
	}
	d.Steps = append(d.Steps, step{line, output, status})
	d.show("$ %s\n%s", line, output)
	if status != 0 {
		return fmt.Errorf("%s: exit status %d: %s", line, status, strings.TrimSpace(output))
	}
	return nil
}

// run runs this program.
func (d *demonstration) run(ctx context.Context, args ...string) (output string, status int, err error) {
	if ctx.Err() != nil {
		return "", 0, context.Cause(ctx)
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"--root", d.store.Root}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for us: we remove all
	if err := cmd.Run(); cmd.ProcessState == nil {
		return "", 0, err
	}
	return out.String(), cmd.ProcessState.ExitCode(), nil
}

// removeAll removes all containers of a store.
func removeAll(s *store.Store) error {
	all, err := lifecycle.List(s)
	for _, c := range all {
		err = errors.Join(err, c.Remove(true))
	}
	return err
}
