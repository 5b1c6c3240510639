// Package commit makes a layer of what a container has changed, and an image of
// that layer on top of the one that the container started from.
//
// It grew from rung 10-commit, adds extended attributes, hard links and opaque
// directories, and copes with a tree that changes while it is read.
package commit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/interrupt"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// Commit adds the container's upper directory to its image, unless the container
// is removed meanwhile: its description goes first, then its files, and a layer
// of those that were left would be taken for all of them.
func Commit(ctx context.Context, s *store.Store, c *containers.Container, base *store.Image, name string, config func(*v1.ConfigFile) error) (*store.Image, error) {
	pack := func(w io.Writer) error {
		err := packLayer(w, filepath.Join(c.Dir, "upper"))
		_, gone := containers.Find(s, c.ID)
		return cmp.Or(gone, err)
	}
	return Image(ctx, s, base, pack, func(file *v1.ConfigFile) error {
		file.History[len(file.History)-1].CreatedBy = strings.Join(c.Args, " ")
		return config(file)
	}, name)
}

// Image makes an image from a base image (nil: from nothing) and one more
// layer, whose tar write writes. config may change the new image's
// configuration, where the last history entry is that of the new layer. The
// name may be "".
func Image(ctx context.Context, s *store.Store, base *store.Image, write func(io.Writer) error, config func(*v1.ConfigFile) error, name string) (_ *store.Image, err error) {
	if name, err = image.FullTag(name); err != nil {
		return nil, err
	}
	j, err := s.BeginAdding(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	m, c := startFrom(base)
	c.Created = v1.Time{Time: time.Now().UTC()}
	c.History = append(c.History, v1.History{Created: c.Created})
	if err := config(c); err != nil {
		return nil, err
	}
	layer, diffID, err := packBlob(ctx, s, j, write)
	if err != nil {
		return nil, err
	}
	m.Layers = append(m.Layers, layer)
	c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, diffID)
	u, err := snapshot.NewUnpacker(s)
	if err != nil {
		return nil, err
	}
	if err := u.Image(ctx, m, c); err != nil {
		return nil, err
	}
	configText, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	m.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: image.SHA256(configText), Size: int64(len(configText))}
	manifest, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := s.Publish(j, manifest, configText, name, v1.Hash{}); err != nil {
		return nil, err
	}
	return s.Resolve(m.Config.Digest.String())
}

// packBlob stores the tar that write writes as a gzip blob.
func packBlob(ctx context.Context, s *store.Store, j *store.Job, write func(io.Writer) error) (layer v1.Descriptor, diffID v1.Hash, err error) {
	file, err := os.Create(j.Path("blob"))
	if err != nil {
		return layer, diffID, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	blob := image.NewDigester(file)
	compressed, err := gzip.NewWriterLevel(blob, gzip.BestSpeed)
	if err != nil {
		return layer, diffID, err
	}
	tar := image.NewDigester(interrupt.Writer(ctx, compressed))
	if err := write(tar); err != nil {
		return layer, diffID, err
	}
	if err := compressed.Close(); err != nil {
		return layer, diffID, err
	}
	layer = v1.Descriptor{MediaType: types.OCILayer, Digest: blob.Digest(), Size: blob.Size}
	return layer, tar.Digest(), s.AdoptBlob(file.Name(), layer)
}

// startFrom returns a manifest and a configuration to add to, in OCI's format
// even if the base image's are in Docker's.
func startFrom(base *store.Image) (*v1.Manifest, *v1.ConfigFile) {
	m := &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	if base == nil {
		return m, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers"}}
	}
	for _, layer := range base.Manifest.Layers {
		layer.MediaType = cmp.Or(ociTypes[layer.MediaType], layer.MediaType)
		m.Layers = append(m.Layers, layer)
	}
	c := base.Config.DeepCopy()
	c.Container = "" // the container that the base was made from
	return m, c
}

// ociTypes are OCI's names for Docker's layer types. The content is the same.
var ociTypes = map[types.MediaType]types.MediaType{
	types.DockerLayer:             types.OCILayer,
	types.DockerUncompressedLayer: types.OCIUncompressedLayer,
	image.DockerLayerZstd:         types.OCILayerZStd,
}
