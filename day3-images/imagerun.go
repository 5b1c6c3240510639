package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/rootfs"
)

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
	if name != "" {
		if err := containers.CheckName(name); err != nil {
			return fmt.Errorf("invalid --name %q: %w", name, err)
		}
	}
	if err := requireRoot(); err != nil {
		return err
	}
	s, err := openStore(ctx)
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
	p.dir = &containers.Container{ID: c.ID, Name: name, Image: p.image.ID, Created: time.Now().UTC(), Args: c.Args, AutoRemove: ctx.Bool("rm")}
	status, err := p.run(s)
	if ctx.Bool("rm") || err != nil { // what never ran has nothing to commit
		err = errors.Join(err, p.dir.Remove())
	}
	if err != nil || status == 0 {
		return err
	}
	return container.StatusError{Status: status}
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
