package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day3-images/cgroup"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/lock"
	"example.com/go-docker/day3-images/namespace"
	"example.com/go-docker/day3-images/rootfs"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
)

const demoMemory = 64 << 20

func demoFlags() []urfave.Flag {
	return []urfave.Flag{&urfave.StringFlag{Name: "format", Value: "text", Usage: "`text` or json"}}
}

// A change is what one layer does to one path.
type change struct {
	Kind string `json:"kind"` // added, changed or deleted
	Path string `json:"path"`
}

// A demoLayer is one directory of the stack.
type demoLayer struct {
	Name    string   `json:"name"`
	Changes []change `json:"changes"`
}

// demo builds an image of three layers, runs this very program in it, and
// looks into the layers' directories at what came from where. It needs no
// network and leaves nothing: its store is a temporary directory.
func demo(ctx *urfave.Context) error {
	format := ctx.String("format")
	if err := requireRoot(); err != nil {
		return err
	}
	return interruptible(func(ctx context.Context) error { return demoUntil(ctx, format) })
}

func demoUntil(ctx context.Context, format string) (err error) {
	id, dir, err := beginDemo(os.TempDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir.Name()), dir.Close()) }()
	s, err := store.Open(filepath.Join(dir.Name(), "store"))
	if err != nil {
		return err
	}
	img, err := buildDemoImage(ctx, s)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p := &plan{
		container: &container.Container{
			ID: id, Hostname: id, Init: true, Namespaces: namespace.All(),
			Args: img.Config.Config.Entrypoint, Env: []string{"PATH=/bin"}, Dir: "/", Root: &rootfs.Root{Volumes: libraries()},
		},
		parent: container.Parent{Stdout: os.Stderr},
		cgroup: cgroup.Config{ID: id, Limits: cgroup.Limits{Memory: demoMemory}, Init: true},
		dir:    &containers.Container{ID: id, Image: img.ID, Created: time.Now().UTC()},
		image:  img,
	}
	status, err := p.run(s)
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
	stack, err := lookAtLayers(append(layers, p.container.Root.Overlay.Upper))
	if err != nil {
		return err
	}
	if format == "json" {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"image": img.ID, "layers": stack, "exit_status": status, "limit_bytes": demoMemory})
	}
	return printStack(os.Stdout, stack)
}

// beginDemo makes a demo's directory, which is locked as long as the demo
// lives: what a killed demo has left, the next one removes.
func beginDemo(tmp string) (id string, locked *os.File, err error) {
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
			continue // another demo has locked, and so removed, what we have just made
		}
		return id, locked, err
	}
}

// payloadCommand is what the demo's container runs: it adds, changes and
// deletes a file, each of which came from a layer that it cannot write to.
var payloadCommand = &urfave.Command{
	Name:   "payload",
	Hidden: true,
	Action: func(*urfave.Context) error {
		return errors.Join(
			os.WriteFile("/notes/new", []byte("added by the container\n"), 0o644),
			os.WriteFile("/notes/greeting", []byte("changed by the container\n"), 0o644),
			os.Remove("/notes/doomed"))
	},
}

// lookAtLayers tells from the directories alone, lowest first, what each layer
// does. A whiteout is a character device 0, 0.
func lookAtLayers(dirs []string) ([]demoLayer, error) {
	seen := map[string]bool{}
	var stack []demoLayer
	for i, dir := range dirs {
		layer := demoLayer{Name: fmt.Sprintf("layer %d", i+1)}
		if i == len(dirs)-1 {
			layer.Name = "container"
		}
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			name := strings.TrimPrefix(path, dir)
			info, err := e.Info()
			if err != nil {
				return err
			}
			switch {
			case info.Mode()&os.ModeCharDevice != 0:
				layer.Changes = append(layer.Changes, change{"deleted", name})
			case seen[name]:
				layer.Changes = append(layer.Changes, change{"changed", name})
			default:
				layer.Changes = append(layer.Changes, change{"added", name})
			}
			seen[name] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
		stack = append(stack, layer)
	}
	return stack, nil
}

// printStack draws the layers as they lie on each other.
func printStack(w io.Writer, stack []demoLayer) error {
	const rule = "+--------------------------------------------------------+"
	sign := map[string]string{"added": "+", "changed": "~", "deleted": "-"}
	fmt.Fprintln(w, rule)
	for _, layer := range slices.Backward(stack) {
		note := "read-only"
		if layer.Name == "container" {
			note = "writable; memory limit " + units.BytesSize(demoMemory)
		}
		fmt.Fprintf(w, "| %-14s%40s |\n", layer.Name, note)
		for _, c := range layer.Changes {
			fmt.Fprintf(w, "|   %s %-50s |\n", sign[c.Kind], shorten(c.Path, 50))
		}
		fmt.Fprintln(w, rule)
	}
	_, err := fmt.Fprintln(w, "+ added   ~ changed: the file above hides the one below   - deleted: a whiteout hides it")
	return err
}

func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return "..." + s[len(s)-most+3:]
}
