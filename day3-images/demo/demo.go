// Package demo shows what the chapter has built: an image of three layers, a
// container made from it, and which layer each file came from. It grew from
// rungs 07-overlay and 10-commit, and adds cleanup on every path.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/lock"
	"example.com/go-docker/day3-images/namespace"
	"example.com/go-docker/day3-images/rootfs"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
)

// Memory is the container's limit, in bytes.
const Memory = 64 << 20

// A Runner runs a container from an image with that limit, and returns its
// command's exit status.
type Runner func(s *store.Store, c *container.Container, img *store.Image) (int, error)

// Run builds an image of three layers, runs this very program in it, and looks
// into the layers' directories to see what came from where. It needs no network
// and leaves nothing behind, because its store is a temporary directory. The
// format is text or json.
func Run(ctx context.Context, format string, run Runner) (err error) {
	id, dir, err := begin(os.TempDir())
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
	c := &container.Container{
		ID: id, Hostname: id, Init: true, Namespaces: namespace.All(),
		Args: img.Config.Config.Entrypoint, Env: []string{"PATH=/bin"}, Dir: "/", Root: &rootfs.Root{Volumes: Libraries()},
	}
	status, err := run(s, c, img)
	if err != nil {
		return err
	}
	if status != 0 {
		return container.StatusError{Status: 1, Err: fmt.Errorf("the container exited with %d", status)}
	}
	layers, err := snapshot.Dirs(ctx, s, img)
	if err != nil {
		return err
	}
	stack, err := lookAtLayers(append(layers, c.Root.Overlay.Upper))
	if err != nil {
		return err
	}
	if format == "json" {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"image": img.ID, "layers": stack, "exit_status": status, "limit_bytes": Memory})
	}
	return printStack(os.Stdout, stack)
}

// begin makes a demo's directory, which stays locked as long as the demo is
// alive, and removes those of killed demos.
func begin(tmp string) (id string, locked *os.File, err error) {
	const prefix = "go-docker-"
	dirs, err := filepath.Glob(filepath.Join(tmp, prefix+strings.Repeat("[0-9a-f]", 12)))
	if err != nil {
		return "", nil, err
	}
	for _, dir := range dirs {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
			continue // in /tmp anybody may use this name
		}
		if err := lock.RemoveLeftover(dir); err != nil {
			return "", nil, fmt.Errorf("remove what a killed demo left: %w", err)
		}
	}
	for {
		id = container.NewID()
		dir := filepath.Join(tmp, prefix+id)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", nil, err
		}
		locked, err := lock.Try(dir)
		if errors.Is(err, lock.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
			continue // another demo took ours for a leftover and removed it
		}
		return id, locked, err
	}
}
