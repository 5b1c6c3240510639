package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/commands/fetch"
	"example.com/go-docker/day5-networks/commands/limits"
	"example.com/go-docker/day5-networks/commands/options"
	"example.com/go-docker/day5-networks/connection"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/rootfs"
	"example.com/go-docker/day5-networks/snapshot"
	"example.com/go-docker/day5-networks/state"
	"example.com/go-docker/day5-networks/store"
)

// Create is the command create.
func Create() *urfave.Command {
	return &urfave.Command{
		Name:      "create",
		Usage:     "make a container without starting it",
		ArgsUsage: "IMAGE [COMMAND] [ARG...]",
		Flags:     createFlags(),
		Action:    createContainer,
	}
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

// planFromFlags makes a plan from the command line and the image.
func planFromFlags(ctx *urfave.Context) (*plan, *store.Store, error) {
	c, err := options.Container(ctx)
	if err != nil {
		return nil, nil, err
	}
	p := &plan{container: c}
	if p.config, err = options.Config(ctx, c); err != nil {
		return nil, nil, err
	}
	if p.network, err = options.Network(ctx); err != nil {
		return nil, nil, err
	}
	p.hostnameSet = ctx.IsSet("hostname")
	name := ctx.String("name")
	if err := containers.CheckName(name); name != "" && err != nil {
		return nil, nil, fmt.Errorf("invalid --name %q: %w", name, err)
	}
	s, err := action.OpenStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := connection.Recover(s.Root); err != nil {
		return nil, nil, err
	}
	if p.image, err = fetch.ResolveOrPull(ctx, s, ctx.Args().First()); err != nil {
		return nil, nil, err
	}
	if err := p.resolveNetwork(ctx, s); err != nil {
		return nil, nil, err
	}
	image := p.image.Config.Config
	if err := options.ApplyConfig(ctx, c, image); err != nil {
		return nil, nil, err
	}
	if p.config.StopSignal == 0 && image.StopSignal != "" {
		if p.config.StopSignal, err = options.ParseSignal(image.StopSignal); err != nil {
			return nil, nil, fmt.Errorf("the image's STOPSIGNAL: %w", err)
		}
	}
	p.dir = &containers.Container{ID: c.ID, Name: name, Image: p.image.ID, ImageName: ctx.Args().First(), Created: time.Now().UTC(), Args: c.Args}
	return p, s, nil
}

func createFlags() []urfave.Flag {
	return slices.Concat(options.ContainerFlags(), options.LifecycleFlags(), options.NetworkFlags(), limits.Flags(), []urfave.Flag{fetch.InsecureFlag()})
}

// A plan is everything that is known about a container before it runs.
type plan struct {
	container *container.Container
	config    *state.Config
	dir       *containers.Container // what stays of it
	image     *store.Image
	network   *state.Network

	hostnameSet bool   // by the user
	peerDir     string // directory of the container whose network it shares, or ""
}

// create makes the container's directory, which keeps its image from being
// removed, and leaves it locked. If we are killed before it is complete, the
// next command removes it.
func (p *plan) create(s *store.Store) (err error) {
	p.dir.AutoRemove = true
	if err := containers.Create(s, p.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.dir.Remove())
		}
	}()
	if err := p.completeRoot(s); err != nil {
		return err
	}
	p.container.Root.Overlay.Volatile = p.config.AutoRemove
	p.config.Container = *p.container
	if err := state.WriteNetwork(p.dir.Dir, p.network); err != nil {
		return err
	}
	if err := state.WriteConfig(p.dir.Dir, p.config); err != nil {
		return err
	}
	return p.dir.SetAutoRemove(false)
}

// completeRoot adds the image to what the command line says about the root.
func (p *plan) completeRoot(s *store.Store) error {
	var layers []string
	err := action.Interruptible(func(ctx context.Context) (err error) {
		layers, err = snapshot.Dirs(ctx, s, p.image)
		return err
	})
	if err != nil {
		return err
	}
	if len(layers) == 0 {
		return errors.New("the image has no layers, and so no program to run")
	}
	c := p.container
	if err := p.dir.FillRoot(s, c.Root, layers, p.peerDir); err != nil {
		return err
	}
	if err := p.dir.AddVolumes(c.Root, p.image.Config.Config.Volumes); err != nil {
		return err
	}
	return makeSources(c.Root.Volumes)
}

// makeSources makes the volumes' directories on the host if they are missing.
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
