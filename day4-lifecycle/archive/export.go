package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"

	"example.com/go-docker/day4-lifecycle/commit"
	"example.com/go-docker/day4-lifecycle/layer"
	"example.com/go-docker/day4-lifecycle/rootfs"
	"example.com/go-docker/day4-lifecycle/store"
	"golang.org/x/sys/unix"
)

// Export writes a container's whole file system as a tar. What it looks like is
// for overlayfs to say, so we mount it once more and read.
func Export(ctx context.Context, s *store.Store, c *store.Container, img *store.Image, w io.Writer) (err error) {
	release, err := s.Hold(img, "export-"+c.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	layers, err := s.LayerDirs(ctx, img)
	if err != nil {
		return err
	}
	j, err := s.Begin(ctx, "export-"+c.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	upper := filepath.Join(c.Dir, "upper")
	if len(layers) == 0 { // nothing to lay it over, and overlayfs wants two
		return commit.PackTree(w, upper)
	}
	done := make(chan error)
	if layers, err = layer.VisibleLayers(layers); err != nil {
		return err
	}
	go func() {
		// The mount is in a namespace that only this thread is in. A goroutine
		// that ends without letting go of its thread takes the thread along, and
		// the last thread of a mount namespace its mounts: none can be left
		// behind, however we end.
		runtime.LockOSThread()
		done <- exportMounted(append(layers, upper), j.Dir, w)
	}()
	return <-done
}

func exportMounted(dirs []string, at string, w io.Writer) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := rootfs.MakeMountsPrivate(); err != nil {
		return err
	}
	if err := (rootfs.Overlay{Layers: dirs, Merged: at}).Mount(); err != nil {
		return err
	}
	return commit.PackTree(w, at)
}
