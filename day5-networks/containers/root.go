package containers

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"example.com/go-docker/day5-networks/chain"
	"example.com/go-docker/day5-networks/rootfs"
	"example.com/go-docker/day5-networks/store"
	"golang.org/x/sys/unix"
)

// etcFiles are the files in /etc that have a container's names and addresses.
// Its shim writes them, and changes them while the container runs. They are
// mounted, like /proc, /sys and /dev.
var etcFiles = []string{"hosts", "hostname", "resolv.conf"}

// FillRoot puts the container's own directory on top of the image's layers,
// which are listed lowest first, and makes the files that Docker puts into
// every container's /etc. If peer, another container's directory, is not "",
// that container's files are used instead.
func (c *Container) FillRoot(s *store.Store, r *rootfs.Root, layers []string, peer string) error {
	// What we make is for all users in the container. The old umask comes back
	// at the end.
	defer unix.Umask(unix.Umask(0o022))
	bottom, err := skeleton(s)
	if err != nil {
		return fmt.Errorf("make the mount points: %w", err)
	}
	r.Overlay = rootfs.Overlay{
		Layers: append([]string{bottom}, layers...),
		Upper:  c.path("upper"), Work: c.path("work"), Merged: c.path("merged"), Volatile: c.AutoRemove,
	}
	r.Files = map[string]string{}
	for _, name := range etcFiles {
		if peer != "" {
			r.Files["/etc/"+name] = filepath.Join(peer, name)
			continue
		}
		if err := os.WriteFile(c.path(name), nil, 0o644); err != nil {
			return err
		}
		r.Files["/etc/"+name] = c.path(name)
	}
	return chain.CopyTop(layers, r.Overlay.Upper)
}

// skeleton returns a directory with only what we mount on in every container,
// to be stacked below an image. Images may lack these mount points, and if we
// made them in the container's own layer they would become part of a commit.
// Docker makes them in an extra layer for each container (Setup in moby's
// daemon/initlayer). It is made at every start, because that is cheaper than
// checking whether it is complete.
func skeleton(s *store.Store) (string, error) {
	dir := s.Path("skeleton")
	for _, name := range []string{"proc", "sys", "dev", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return "", err
		}
	}
	for _, name := range etcFiles {
		file, err := os.OpenFile(filepath.Join(dir, "etc", name), os.O_CREATE|os.O_RDONLY, 0o644)
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			return "", err
		}
	}
	return dir, nil
}

// AddVolumes makes a directory for each volume that the image declares.
func (c *Container) AddVolumes(r *rootfs.Root, targets map[string]struct{}) error {
	defer unix.Umask(unix.Umask(0o022))
	for i, target := range slices.Sorted(maps.Keys(targets)) { // /a before /a/b
		dir := c.path("volumes", fmt.Sprint(i))
		v := rootfs.ImageVolume{Target: target, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work")}
		if err := errors.Join(os.MkdirAll(v.Upper, 0o755), os.MkdirAll(v.Work, 0o755)); err != nil {
			return err
		}
		r.ImageVolumes = append(r.ImageVolumes, v)
	}
	return nil
}

func (c *Container) path(name ...string) string {
	return filepath.Join(append([]string{c.Dir}, name...)...)
}
