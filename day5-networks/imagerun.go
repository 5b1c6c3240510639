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
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/connection"
	"example.com/go-docker/day5-networks/console"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/rootfs"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
	"example.com/go-docker/day5-networks/wire"
)

// runImage is run: create, start, and unless -d, attach.
func runImage(ctx *urfave.Context) error {
	detach := ctx.Bool("detach")
	keys, err := console.ParseKeys(ctx.String("detach-keys"))
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
	conn, err := lifecycle.Launch(p.dir, p.config.AutoRemove, p.dir.HandOver(), !detach, signals)
	if err != nil { // what never ran has nothing to commit
		c := lifecycle.Container{Container: p.dir, State: &state.State{Status: state.Created}}
		return errors.Join(err, c.Remove(true))
	}
	if detach {
		fmt.Println(p.dir.ID)
		return nil
	}
	seat := console.Console{TTY: p.container.TTY, Detach: keys, Signals: signals, Own: true}
	if p.config.OpenStdin {
		seat.Stdin = os.Stdin
	}
	return follow(seat, conn, p.dir.ID)
}

// follow is attached to a container until it has ended, or the user has gone.
func follow(seat console.Console, conn *wire.Conn, id string) error {
	status, err := seat.Follow(conn)
	switch {
	case errors.Is(err, console.ErrDetached):
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
	return p.dir.HandOver().Close()
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
	if p.network, err = networkFromFlags(ctx); err != nil {
		return nil, nil, err
	}
	p.hostnameSet = ctx.IsSet("hostname")
	name := ctx.String("name")
	if name != "" {
		if err := containers.CheckName(name); err != nil {
			return nil, nil, fmt.Errorf("invalid --name %q: %w", name, err)
		}
	}
	if err := requireRoot(); err != nil {
		return nil, nil, err
	}
	s, err := openStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := connection.Recover(s.Root); err != nil {
		return nil, nil, err
	}
	if p.image, err = resolveOrPull(ctx, s, ctx.Args().First()); err != nil {
		return nil, nil, err
	}
	if err := p.resolveNetwork(ctx, s); err != nil {
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
	p.dir = &containers.Container{ID: c.ID, Name: name, Image: p.image.ID, ImageName: ctx.Args().First(), Created: time.Now().UTC(), Args: c.Args}
	return p, s, nil
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
