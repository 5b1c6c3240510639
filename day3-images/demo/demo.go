// Package demo shows what the chapter has built: an image of three layers, a
// container made from it, and which layer each file came from. It grew from
// rungs 07-overlay and 10-commit, and adds cleanup on every path.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/lock"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
)

// Memory is the container's limit, in bytes.
const Memory = 64 << 20

// Run builds an image of three layers, runs this very program in it, and looks
// into the layers' directories to see what came from where. It needs no network
// and leaves nothing behind, because its store is a temporary directory. The
// format is text or json.
func Run(ctx context.Context, format string) (err error) {
	signal.Ignore(syscall.SIGPIPE) // without a reader we go on, and clean up
	dir, err := begin(ctx, os.TempDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir.Name()), dir.Close()) }()
	s, err := store.Open(filepath.Join(dir.Name(), "store"))
	if err != nil {
		return err
	}
	img, err := buildImage(ctx, s)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	args := slices.Concat([]string{"--root", s.Root, "run", "--name", "demo", "--memory", fmt.Sprint(Memory)}, Libraries(), []string{"demo"})
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); cmd.ProcessState == nil {
		return err
	} else if status := cmd.ProcessState.ExitCode(); status != 0 {
		return container.StatusError{Status: status}
	}
	c, err := containers.Find(s, "demo")
	if err != nil {
		return err
	}
	layers, err := snapshot.Dirs(ctx, s, img)
	if err != nil {
		return err
	}
	stack, err := lookAtLayers(append(layers, filepath.Join(c.Dir, "upper")))
	if err != nil {
		return err
	}
	if format == "json" {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"image": img.ID, "layers": stack, "exit_status": cmd.ProcessState.ExitCode(), "limit_bytes": Memory})
	}
	return printStack(os.Stdout, stack)
}

// begin makes a demo's directory, which stays locked as long as the demo is
// alive, and removes those of killed demos.
func begin(ctx context.Context, tmp string) (*os.File, error) {
	dirs, err := filepath.Glob(tmp + "/go-docker-" + strings.Repeat("[0-9a-f]", 12))
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
			continue // in /tmp anybody may use this name
		}
		if err := lock.RemoveLeftover(dir); err != nil {
			return nil, fmt.Errorf("remove what a killed demo left: %w", err)
		}
	}
	return lock.Dir(ctx, filepath.Join(tmp, "go-docker-"+container.NewID()))
}
