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

	"example.com/go-docker/day3-images/cgroup"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/layer"
	"example.com/go-docker/day3-images/rootfs"
	"example.com/go-docker/day3-images/store"
)

// A plan is all that makes up a container before it runs.
type plan struct {
	container *container.Container
	parent    container.Parent
	cgroup    cgroup.Config
	dir       *store.Container // what stays of it
	image     *store.Image
	hosts     string // more lines for /etc/hosts
}

// runImage is run: an image's layers, the container's own on top, and from
// there on what the chapters before have built.
func runImage(ctx *urfave.Context) error {
	c, err := containerFromFlags(ctx)
	if err != nil {
		return err
	}
	p := &plan{container: c}
	if p.cgroup, err = cgroupFromFlags(ctx, c); err != nil {
		return err
	}
	if p.hosts, err = hostsFromFlags(ctx); err != nil {
		return err
	}
	name := ctx.String("name")
	if name != "" && !store.ValidName(name) {
		return fmt.Errorf("invalid --name %q: want two or more of a-z A-Z 0-9 _ . -, the first a letter or digit", name)
	}
	if os.Geteuid() != 0 {
		return errors.New("only root may mount layers and keep their owners: run as root")
	}
	s, err := store.Open(ctx.String("root"))
	if err != nil {
		return err
	}
	if p.image, err = resolveOrPull(ctx, s, ctx.Args().First()); err != nil {
		return err
	}
	if err := applyConfig(ctx, c, p.image.Config.Config); err != nil {
		return err
	}
	if ctx.Bool("interactive") {
		p.parent.Stdin = os.Stdin
	}
	p.dir = &store.Container{ID: c.ID, Name: name, Image: p.image.ID, Created: time.Now().UTC(), Args: c.Args, AutoRemove: ctx.Bool("rm")}
	status, err := p.run(s)
	if ctx.Bool("rm") || err != nil { // what never ran has nothing to commit
		err = errors.Join(err, p.dir.Remove())
	}
	if err != nil || status == 0 {
		return err
	}
	return container.StatusError{Status: status}
}

// run makes the container's directory, runs the container and lets go of the
// directory.
func (p *plan) run(s *store.Store) (status int, err error) {
	p.parent.Signals = container.CatchSignals() // from here on there is something to remove
	release, err := s.Hold(p.image, p.container.ID)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, release()) }()
	layers, err := p.layers(s)
	if err != nil {
		return 0, err
	}
	if err := s.CreateContainer(p.dir); err != nil {
		return 0, err
	}
	if err := p.completeRoot(layers); err != nil {
		return 0, err
	}
	if err := makeSources(p.container.Root.Volumes); err != nil {
		return 0, err
	}
	g, err := cgroup.Create(p.cgroup)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, g.Remove()) }()
	p.parent.Cgroup = g
	p.container.Root.Cgroups = rootfs.Cgroups{Version: g.Version, Dirs: g.Dirs}
	process, err := container.Create(p.container, p.parent)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, process.Close()) }()
	if err := process.Start(); err != nil {
		return 0, err
	}
	return process.Wait()
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
	r.Overlay = rootfs.Overlay{Layers: layers, Upper: in("upper"), Work: in("work"), Merged: in("merged"), Volatile: p.dir.AutoRemove}
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
