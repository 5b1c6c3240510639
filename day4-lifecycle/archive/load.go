// Package archive takes images in from tars and writes them to tars: load,
// save, import, export.
//
// From rung 09-image, plus: Docker's own format, and archives nobody trusts.
package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/interrupt"
	"example.com/go-docker/day4-lifecycle/layer"
	"example.com/go-docker/day4-lifecycle/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"
)

// Load takes in the images of an archive, and says in Docker's words which they
// are.
func Load(ctx context.Context, s *store.Store, r io.Reader, platform v1.Platform) (done []string, err error) {
	j, err := s.BeginAdding(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	files, err := spoolArchive(interrupt.Waiting(ctx, r), j.Dir)
	if err != nil {
		return nil, err
	}
	images, err := files.images(platform)
	if err != nil {
		return nil, err
	}
	for _, img := range images {
		if err := takeIn(ctx, s, j, files, img); err != nil {
			return done, err
		}
		name := "Loaded image ID: " + img.m.Config.Digest.String()
		if img.name != "" {
			name = "Loaded image: " + image.Familiar(img.name)
		}
		done = append(done, name)
	}
	return done, nil
}

// An archived image is one that an archive has, under one of its names.
type archivedImage struct {
	text []byte // of the manifest
	m    *v1.Manifest
	name string // full, or "" if it has none
}

// takeIn gives an image's blobs their places in the store, then its layers,
// then its name.
func takeIn(ctx context.Context, s *store.Store, j *store.Job, files *spool, img archivedImage) error {
	configText, err := files.document(img.m.Config)
	if err != nil {
		return err
	}
	config, err := image.ParseConfig(configText, img.m)
	if err != nil {
		return err
	}
	for _, blob := range append([]v1.Descriptor{img.m.Config}, img.m.Layers...) {
		if s.HasBlob(blob) {
			continue
		}
		file, err := files.find(blob)
		if err != nil {
			return err
		}
		if err := s.AdoptBlob(file.path, blob); err != nil {
			return err
		}
		file.path = s.BlobPath(blob.Digest) // the next image may need it too
	}
	if err := s.UnpackImage(ctx, img.m, config); err != nil {
		return err
	}
	manifest, err := s.WriteBlob(j, img.text)
	if err != nil {
		return err
	}
	manifest.MediaType, manifest.Platform = image.MediaTypeOf(img.m), config.Platform()
	_, err = s.Publish(manifest, img.name, v1.Hash{})
	return err
}

// images lists what is in the archive. A file index.json makes it an OCI image
// layout, manifest.json what docker save has written; with both, the former
// says more.
func (a *spool) images(platform v1.Platform) ([]archivedImage, error) {
	if text, err := a.named("index.json"); err == nil {
		index, err := image.ParseIndex(text)
		if err != nil {
			return nil, fmt.Errorf("index.json: %w", err)
		}
		return a.ociImages(index, platform)
	}
	text, err := a.named("manifest.json")
	if err != nil {
		return nil, errors.New("not an image archive: neither manifest.json nor index.json is in it (import takes the tar of a root file system)")
	}
	return a.dockerImages(text)
}

func (a *spool) ociImages(index *v1.IndexManifest, platform v1.Platform) (all []archivedImage, err error) {
	for _, d := range index.Manifests {
		img := archivedImage{name: archivedName(d)}
		if img.text, err = a.document(d); err != nil {
			return nil, err
		}
		multi, err := image.IsIndex(img.text, d.MediaType)
		if err == nil && multi {
			img.text, err = a.chooseManifest(img.text, platform)
		}
		if err != nil {
			return nil, err
		}
		if img.m, err = image.ParseManifest(img.text); err != nil {
			return nil, err
		}
		all = append(all, img)
	}
	return all, nil
}

func (a *spool) chooseManifest(text []byte, platform v1.Platform) ([]byte, error) {
	index, err := image.ParseIndex(text)
	if err != nil {
		return nil, err
	}
	chosen, err := image.Choose(index, platform)
	if err != nil {
		return nil, err
	}
	return a.document(chosen)
}

// archivedName is an image's name in an OCI archive. Programs do not agree on
// where it stands, and what stands there may be a mere tag.
func archivedName(d v1.Descriptor) string {
	for _, key := range []string{store.AnnotationContainerd, store.AnnotationName} {
		if text := d.Annotations[key]; text != "" {
			ref, err := image.ParseReference(text)
			if err == nil {
				return ref.String()
			}
			logrus.Warnf("the archive's name for image %s is of no use: %v", d.Digest, err)
		}
	}
	return ""
}

// dockerImages reads manifest.json. It has no manifests: we write them.
func (a *spool) dockerImages(text []byte) (all []archivedImage, err error) {
	var entries []dockerImage
	if err := image.ParseJSON(text, &entries); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	for _, e := range entries {
		img := archivedImage{m: &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}}
		if img.m.Config, err = a.describe(e.Config, func([]byte) types.MediaType { return types.OCIConfigJSON }); err != nil {
			return nil, err
		}
		for _, path := range e.Layers {
			layer, err := a.describe(path, layerType)
			if err != nil {
				return nil, err
			}
			img.m.Layers = append(img.m.Layers, layer)
		}
		if img.text, err = json.Marshal(img.m); err != nil {
			return nil, err
		}
		if len(e.RepoTags) == 0 {
			all = append(all, img)
		}
		for _, tag := range e.RepoTags {
			ref, err := image.ParseReference(tag)
			if err != nil {
				return nil, fmt.Errorf("manifest.json: %w", err)
			}
			img.name = ref.String()
			all = append(all, img)
		}
	}
	return all, nil
}

// layerType tells from a layer's first bytes how it is compressed.
func layerType(start []byte) types.MediaType {
	switch {
	case len(start) > 1 && start[0] == 0x1f && start[1] == 0x8b:
		return types.OCILayer
	case layer.IsZstd(start):
		return types.OCILayerZStd
	}
	return types.OCIUncompressedLayer
}
