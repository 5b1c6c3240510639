package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"example.com/go-docker/day3-images/cgroup"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/layer"
	"example.com/go-docker/day3-images/rootfs"
	"example.com/go-docker/day3-images/store"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
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
