package containers

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"example.com/go-docker/day3-images/chain"
	"example.com/go-docker/day3-images/rootfs"
	"example.com/go-docker/day3-images/store"
	"golang.org/x/sys/unix"
)

// FillRoot puts the container's own directory on top of the image's layers,
// which are listed lowest first, and writes the files that Docker puts into
// every container's /etc.
func (c *Container) FillRoot(s *store.Store, r *rootfs.Root, layers []string, hostname, moreHosts string) error {
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
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t" + hostname + "\n" + moreHosts
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.Files = map[string]string{}
	for name, text := range map[string]string{"hosts": hosts, "hostname": hostname + "\n", "resolv.conf": string(resolv)} {
		if err := os.WriteFile(c.path(name), []byte(text), 0o644); err != nil {
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
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
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
