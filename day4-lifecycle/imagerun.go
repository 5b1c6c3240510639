package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/layer"
	"example.com/go-docker/day4-lifecycle/lifecycle"
	"example.com/go-docker/day4-lifecycle/rootfs"
	"example.com/go-docker/day4-lifecycle/state"
	"example.com/go-docker/day4-lifecycle/store"
	"example.com/go-docker/day4-lifecycle/wire"
)

// A plan is all that makes up a container before it runs.
type plan struct {
	container *container.Container
	config    *state.Config
	dir       *store.Container // what stays of it
	image     *store.Image
	hosts     string // more lines for /etc/hosts
}

// runImage is run: create, start, and unless -d, attach.
func runImage(ctx *urfave.Context) error {
	detach := ctx.Bool("detach")
	keys, err := lifecycle.ParseKeys(ctx.String("detach-keys"))
	if err != nil {
		return err
	}
	p, s, err := planFromFlags(ctx)
	if err != nil {
		return err
	}
	signals := container.CatchSignals() // from here on there is something to remove
	p.config.StdinOnce = p.config.OpenStdin && !detach
	if err := p.create(s); err != nil {
		return err
	}
	conn, err := lifecycle.Launch(p.dir.Dir, p.dir.Unlock(), !detach, signals)
	if err != nil { // what never ran has nothing to commit
		c := lifecycle.Container{Container: p.dir, State: &state.State{Status: state.Created}}
		return errors.Join(err, c.Remove(true))
	}
	if detach {
		fmt.Println(p.dir.ID)
		return nil
	}
	console := lifecycle.Console{TTY: p.container.TTY, Detach: keys, Signals: signals, Own: true}
	if p.config.OpenStdin {
		console.Stdin = os.Stdin
	}
	return follow(console, conn, p.dir.ID)
}

// follow is attached to a container until it has ended, or the user has gone.
func follow(console lifecycle.Console, conn *wire.Conn, id string) error {
	status, err := console.Follow(conn)
	switch {
	case errors.Is(err, lifecycle.ErrDetached):
		fmt.Fprintln(os.Stderr)
		logrus.Infof("detached from %s, which goes on", id)
		return nil
	case err != nil:
		return container.StatusError{Status: max(status, 1), Err: err}
	case status != 0:
		return container.StatusError{Status: status}
	}
	return nil
}

// createContainer is create.
func createContainer(ctx *urfave.Context) error {
	p, s, err := planFromFlags(ctx)
	if err != nil {
		return err
	}
	signals := container.CatchSignals()
	defer signals.Release()
	p.config.StdinOnce = p.config.OpenStdin
	if err := p.create(s); err != nil {
		return err
	}
	fmt.Println(p.dir.ID)
	return p.dir.Unlock().Close()
}

// planFromFlags makes a plan of the command line and the image.
func planFromFlags(ctx *urfave.Context) (*plan, *store.Store, error) {
	c, err := containerFromFlags(ctx)
	if err != nil {
		return nil, nil, err
	}
	p := &plan{container: c}
	if p.config, err = configFromFlags(ctx, c); err != nil {
		return nil, nil, err
	}
	if p.hosts, err = hostsFromFlags(ctx); err != nil {
		return nil, nil, err
	}
	name := ctx.String("name")
	if name != "" && !store.ValidName(name) {
		return nil, nil, errInvalidName("--name", name)
	}
	if os.Geteuid() != 0 {
		return nil, nil, errors.New("only root may mount layers and keep their owners: run as root")
	}
	s, err := store.Open(ctx.String("root"))
	if err != nil {
		return nil, nil, err
	}
	if p.image, err = resolveOrPull(ctx, s, ctx.Args().First()); err != nil {
		return nil, nil, err
	}
	image := p.image.Config.Config
	if err := applyConfig(ctx, c, image); err != nil {
		return nil, nil, err
	}
	if p.config.StopSignal == 0 && image.StopSignal != "" {
		if p.config.StopSignal, err = parseSignal(image.StopSignal); err != nil {
			return nil, nil, fmt.Errorf("the image's STOPSIGNAL: %w", err)
		}
	}
	p.dir = &store.Container{ID: c.ID, Name: name, Image: p.image.ID, ImageName: ctx.Args().First(), Created: time.Now().UTC(), Args: c.Args}
	return p, s, nil
}

// create makes the container's directory, locked.
func (p *plan) create(s *store.Store) error {
	release, err := s.Hold(p.image, p.container.ID)
	if err != nil {
		return err
	}
	layers, err := p.layers(s)
	if err == nil {
		err = s.CreateContainer(p.dir, func() error {
			if err := p.completeRoot(layers); err != nil {
				return err
			}
			if err := makeSources(p.container.Root.Volumes); err != nil {
				return err
			}
			p.config.Container = *p.container
			return state.WriteConfig(p.dir.Dir, p.config)
		})
	}
	return errors.Join(err, release()) // from now on it is the directory that keeps the image
}

// layers are the directories below the container's own, the lowest first.
func (p *plan) layers(s *store.Store) ([]string, error) {
	var layers []string
	err := interruptible(func(ctx context.Context) (err error) {
		layers, err = s.LayerDirs(ctx, p.image)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(layers) == 0 {
		return nil, errors.New("the image has no layers, and so no program to run")
	}
	skeleton, err := s.Skeleton()
	if err != nil {
		return nil, fmt.Errorf("make the mount points: %w", err)
	}
	return layer.VisibleLayers(append([]string{skeleton}, layers...))
}

// applyConfig fills in what the command line left to the image.
func applyConfig(ctx *urfave.Context, c *container.Container, config v1.Config) error {
	entrypoint, command := config.Entrypoint, config.Cmd
	if ctx.IsSet("entrypoint") { // the image's arguments belong to its own entrypoint
		entrypoint, command = []string{ctx.String("entrypoint")}, nil
		if ctx.String("entrypoint") == "" {
			entrypoint = nil
		}
	}
	if len(c.Args) > 0 {
		command = c.Args
	}
	if c.Args = slices.Concat(entrypoint, command); len(c.Args) == 0 {
		return errors.New("no command: the image names none, so name one after the image")
	}
	if c.Dir == "" {
		c.Dir = config.WorkingDir
	}
	c.Dir = path.Clean("/" + c.Dir) // as Docker: /a/.. is / even if a is a link, or missing
	if c.User == "" {
		c.User = config.User
	}
	set, err := readEnvFiles(ctx.StringSlice("env-file"))
	if err != nil {
		return fmt.Errorf("--env-file: %w", err)
	}
	c.Env, err = environment(c, config.Env, append(set, ctx.StringSlice("env")...))
	return err
}

func volumesFromFlags(ctx *urfave.Context) ([]rootfs.Volume, error) {
	var volumes []rootfs.Volume
	for _, s := range ctx.StringSlice("volume") {
		v, err := rootfs.ParseVolume(s)
		if err != nil {
			return nil, fmt.Errorf("invalid --volume %q: %w", s, err)
		}
		volumes = append(volumes, v)
	}
	for _, s := range ctx.StringSlice("tmpfs") {
		v, err := rootfs.ParseTmpfs(s)
		if err != nil {
			return nil, fmt.Errorf("invalid --tmpfs %q: %w", s, err)
		}
		volumes = append(volumes, v)
	}
	slices.SortStableFunc(volumes, func(a, b rootfs.Volume) int { return strings.Compare(a.Target, b.Target) }) // /a before /a/b
	return volumes, nil
}

// makeSources makes the host's side of volumes where it is missing.
func makeSources(volumes []rootfs.Volume) error {
	for _, v := range volumes {
		if _, err := os.Stat(v.Source); err == nil || v.Tmpfs != nil {
			continue
		}
		logrus.Infof("making %s for a volume", v.Source)
		if err := os.MkdirAll(v.Source, 0o755); err != nil {
			return fmt.Errorf("volume %s: %w", v.Source, err)
		}
	}
	return nil
}

// completeRoot adds to what the command line says of the root, and writes the
// files that Docker puts into every container's /etc.
func (p *plan) completeRoot(layers []string) error {
	in := func(name ...string) string { return filepath.Join(append([]string{p.dir.Dir}, name...)...) }
	c, r := p.container, p.container.Root
	r.Overlay = rootfs.Overlay{Layers: layers, Upper: in("upper"), Work: in("work"), Merged: in("merged"), Volatile: p.config.AutoRemove}
	r.Files, r.Workdir = map[string]string{}, c.Dir
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t" + c.Hostname + "\n" + p.hosts
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for name, text := range map[string]string{"hosts": hosts, "hostname": c.Hostname + "\n", "resolv.conf": string(resolv)} {
		if err := os.WriteFile(in(name), []byte(text), 0o644); err != nil {
			return err
		}
		r.Files["/etc/"+name] = in(name)
	}
	for i, target := range slices.Sorted(maps.Keys(p.image.Config.Config.Volumes)) { // /a before /a/b
		v := rootfs.ImageVolume{Target: target, Upper: in("volumes", fmt.Sprint(i), "upper"), Work: in("volumes", fmt.Sprint(i), "work")}
		for _, dir := range []string{v.Upper, v.Work} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		r.ImageVolumes = append(r.ImageVolumes, v)
	}
	// The overlay's root has the upper directory's owner and mode.
	return copyRootMode(layers, r.Overlay.Upper)
}

// copyRootMode gives the upper directory the mode and owner of the image's
// root: that is what the container will see at /.
func copyRootMode(layers []string, upper string) error {
	var stat unix.Stat_t
	top := layers[len(layers)-1]
	if err := unix.Stat(top, &stat); err != nil {
		return &os.PathError{Op: "stat", Path: top, Err: err}
	}
	return errors.Join(os.Chown(upper, int(stat.Uid), int(stat.Gid)), unix.Chmod(upper, stat.Mode&0o7777))
}
