package run

import (
	"fmt"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/commands/action"
	"example.com/go-docker/day4-lifecycle/commands/fetch"
	"example.com/go-docker/day4-lifecycle/commands/limits"
	"example.com/go-docker/day4-lifecycle/commands/options"
	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/store"
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
	if p.hosts, err = options.Hosts(ctx); err != nil {
		return nil, nil, err
	}
	name := ctx.String("name")
	if name != "" {
		if err := containers.CheckName(name); err != nil {
			return nil, nil, fmt.Errorf("invalid --name %q: %w", name, err)
		}
	}
	if err := action.RequireRoot(); err != nil {
		return nil, nil, err
	}
	s, err := action.OpenStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	if p.image, err = fetch.ResolveOrPull(ctx, s, ctx.Args().First()); err != nil {
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
	return slices.Concat(options.ContainerFlags(), options.LifecycleFlags(), limits.Flags(), []urfave.Flag{fetch.InsecureFlag()})
}
