package run

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sirupsen/logrus"

	"example.com/go-docker/day3-images/cgroup"
	"example.com/go-docker/day3-images/commands/action"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/rootfs"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
)

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
	c.Root.Workdir = c.Dir
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
