// Package run has the commands run and rm: it turns an image and the user's
// flags into a container's directory, cgroup, process and exit status.
//
// It grew from day 3's finale, which joins rungs 07-overlay and 09-image, and
// adds everything that the user may ask for and cleanup on every path.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day3-images/cgroup"
	"example.com/go-docker/day3-images/commands/action"
	"example.com/go-docker/day3-images/commands/fetch"
	"example.com/go-docker/day3-images/commands/limits"
	"example.com/go-docker/day3-images/commands/options"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/rootfs"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
)

// Run is the command run.
func Run() *urfave.Command {
	return &urfave.Command{
		Name:      "run",
		Usage:     "run a command in a new container of an image",
		ArgsUsage: "IMAGE [COMMAND] [ARG...]",
		Flags:     slices.Concat(options.ContainerFlags(), limits.Flags(), []urfave.Flag{fetch.InsecureFlag()}),
		Action:    runImage,
	}
}

// runImage is run: an image's layers, the container's own on top, and then what
// the earlier chapters have built.
func runImage(ctx *urfave.Context) error {
	c, err := options.Container(ctx)
	if err != nil {
		return err
	}
	p := &plan{container: c}
	if p.cgroup, err = limits.FromFlags(ctx); err != nil {
		return err
	}
	p.cgroup.ID, p.cgroup.Init = c.ID, c.Init
	if p.hosts, err = options.Hosts(ctx); err != nil {
		return err
	}
	name := ctx.String("name")
	if err := containers.CheckName(name); name != "" && err != nil {
		return fmt.Errorf("invalid --name %q: %w", name, err)
	}
	s, err := action.OpenStore(ctx)
	if err != nil {
		return err
	}
	if p.image, err = fetch.ResolveOrPull(ctx, s, ctx.Args().First()); err != nil {
		return err
	}
	if err := options.ApplyConfig(ctx, c, p.image.Config.Config); err != nil {
		return err
	}
	if ctx.Bool("interactive") {
		p.parent.Stdin = os.Stdin
	}
	p.dir = &containers.Container{ID: c.ID, Name: name, Image: p.image.ID, Created: time.Now().UTC(), Args: c.Args, AutoRemove: ctx.Bool("rm")}
	status, err := p.run(s)
	if ctx.Bool("rm") || err != nil { // a container that never ran has nothing to commit
		err = errors.Join(err, p.dir.Remove())
	}
	if err != nil || status == 0 {
		return err
	}
	return container.StatusError{Status: status}
}

// A plan is everything that is known about a container before it runs.
type plan struct {
	container *container.Container
	parent    container.Parent
	cgroup    cgroup.Config
	dir       *containers.Container // what stays of it
	image     *store.Image
	hosts     string // more lines for /etc/hosts
}

// run makes the container's directory, which keeps its image from being
// removed, and runs the container. After an error, remove the directory.
func (p *plan) run(s *store.Store) (status int, err error) {
	p.parent.Signals = container.CatchSignals() // from here on there is something to clean up
	if err := containers.Create(s, p.dir); err != nil {
		return 0, err
	}
	if err := p.completeRoot(s); err != nil {
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
	if err := p.dir.FillRoot(s, c.Root, layers, c.Hostname, p.hosts); err != nil {
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

// Remove is the command rm.
var Remove = &urfave.Command{
	Name:      "rm",
	Usage:     "remove containers that have ended",
	ArgsUsage: "CONTAINER...",
	Action: action.EachArgument("a container", func(_ *urfave.Context, s *store.Store, ref string) ([]string, error) {
		c, err := containers.Find(s, ref)
		if err != nil {
			return nil, err
		}
		if err := c.Remove(); err != nil {
			return nil, err
		}
		return []string{strings.TrimSpace(ref)}, nil
	}),
}
