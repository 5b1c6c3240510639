package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"

	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// commit adds the container's upper directory to its image.
func commit(ctx context.Context, s *store.Store, c *store.Container, base *store.Image, name string, config func(*v1.ConfigFile)) (*store.Image, error) {
	return addLayer(ctx, s, base, func(w io.Writer) error {
		return packLayer(w, filepath.Join(c.Dir, "upper"))
	}, func(file *v1.ConfigFile) {
		file.History[len(file.History)-1].CreatedBy = strings.Join(c.Args, " ")
		config(file)
	}, name)
}
