package archive

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"example.com/go-docker/day4-lifecycle/commit"
	"example.com/go-docker/day4-lifecycle/compression"
	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/inroot"
	"example.com/go-docker/day4-lifecycle/interrupt"
	"example.com/go-docker/day4-lifecycle/rootfs"
	"example.com/go-docker/day4-lifecycle/snapshot"
	"example.com/go-docker/day4-lifecycle/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Import makes an image with one layer from source, which is a tar (- for
// standard input) or a directory.
func Import(ctx context.Context, s *store.Store, source, name string, config func(*v1.ConfigFile) error) (*store.Image, error) {
	return commit.Image(ctx, s, nil, func(w io.Writer) error { return copyTar(ctx, w, source) }, config, name)
}

func copyTar(ctx context.Context, w io.Writer, source string) error {
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		return commit.PackTree(w, source)
	}
	file, err := Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	uncompressed, err := compression.Decompress(interrupt.Waiting(ctx, file))
	if err != nil {
		return err
	}
	defer uncompressed.Close()
	n, err := io.Copy(w, uncompressed)
	if err == nil && n == 0 {
		err = errors.New("it is empty")
	}
	return err
}

// Export writes a container's whole file system as a tar. Only overlayfs knows
// what it looks like, so we mount it once more and read that.
func Export(ctx context.Context, s *store.Store, c *containers.Container, img *store.Image, w io.Writer) (err error) {
	j, err := s.BeginAdding(ctx) // keeps the layers even if the container is removed
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	layers, err := snapshot.Dirs(ctx, s, img)
	if err != nil {
		return err
	}
	upper := filepath.Join(c.Dir, "upper")
	if len(layers) == 0 { // overlayfs needs a second layer
		return commit.PackTree(w, upper)
	}
	root, err := rootfs.Overlay{Layers: append(layers, upper), Merged: j.Dir}.MountApart()
	if err != nil {
		return err
	}
	defer root.Close()
	return commit.PackTree(w, inroot.FdPath(int(root.Fd())))
}
