// Package commit makes a layer of what a container has changed, and an image of
// that layer on top of the one that the container started from.
//
// It grew from rung 10-commit, adds extended attributes, hard links and opaque
// directories, and copes with a tree that changes while it is read.
package commit

import (
	"context"
	"io"
	"path/filepath"
	"strings"

	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Commit adds the container's upper directory to its image.
func Commit(ctx context.Context, s *store.Store, c *containers.Container, base *store.Image, name string, config func(*v1.ConfigFile)) (*store.Image, error) {
	pack := func(w io.Writer) error { return packLayer(w, filepath.Join(c.Dir, "upper")) }
	return Image(ctx, s, base, pack, func(file *v1.ConfigFile) {
		file.History[len(file.History)-1].CreatedBy = strings.Join(c.Args, " ")
		config(file)
	}, name)
}
