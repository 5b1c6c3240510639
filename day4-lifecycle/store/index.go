package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"example.com/go-docker/day4-lifecycle/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// index.json lists manifests. An image with two names is in it twice, one
// without a name once. The names are annotations: skopeo and podman read the
// first, containerd the second.
const (
	AnnotationName       = "org.opencontainers.image.ref.name"
	AnnotationContainerd = "io.containerd.image.name"
	// The digest that the registry has for the image: it is the manifest's, or
	// that of an index from which one manifest was chosen.
	annotationPulled = "go-docker.pulled-digest"
)

func (s *Store) ReadIndex() (*v1.IndexManifest, error) {
	path := s.Path("index.json")
	text, err := image.ReadDocument(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}, nil
	}
	if err != nil {
		return nil, err
	}
	index, err := image.ParseIndex(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return index, nil
}

// changeIndex replaces index.json by what change makes of it. The caller holds
// the lock.
func (s *Store) changeIndex(change func(*v1.IndexManifest) error) error {
	index, err := s.ReadIndex()
	if err != nil {
		return err
	}
	if err := change(index); err != nil {
		return err
	}
	if index.Manifests == nil {
		index.Manifests = []v1.Descriptor{} // [], not null
	}
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(s.Path("index.json"), append(text, '\n'))
}

// Publish puts a manifest, all of whose blobs and layers are there, into the
// index. It reports whether that changed anything.
func (s *Store) Publish(manifest v1.Descriptor, name string, pulled v1.Hash) (isNew bool, err error) {
	if err := s.sync(); err != nil {
		return false, err
	}
	unlock, err := s.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	err = s.changeIndex(func(index *v1.IndexManifest) error {
		isNew = true
		for _, d := range index.Manifests {
			if d.Digest == manifest.Digest && NameOf(d) == name {
				isNew = false
			}
		}
		enter(index, manifest, name, pulled)
		return nil
	})
	return isNew, err
}

// enter lists a manifest under a name, or without one. If the name was another
// image's, that one stays in the list without it.
func enter(index *v1.IndexManifest, manifest v1.Descriptor, name string, pulled v1.Hash) {
	if name != "" {
		leave(index, name)
		manifest.Annotations = map[string]string{AnnotationName: name, AnnotationContainerd: name}
		if pulled != (v1.Hash{}) {
			manifest.Annotations[annotationPulled] = pulled.String()
		}
	}
	listed := func(d v1.Descriptor) bool { return d.Digest == manifest.Digest }
	if name == "" && slices.ContainsFunc(index.Manifests, listed) {
		return
	}
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool {
		return listed(d) && NameOf(d) == ""
	})
	index.Manifests = append(index.Manifests, manifest)
}

// leave takes a name off the list. The image stays.
func leave(index *v1.IndexManifest, name string) {
	i := slices.IndexFunc(index.Manifests, func(d v1.Descriptor) bool { return NameOf(d) == name })
	if i < 0 {
		return
	}
	manifest := index.Manifests[i]
	index.Manifests = slices.Delete(index.Manifests, i, i+1)
	manifest.Annotations = nil
	enter(index, manifest, "", v1.Hash{})
}

// NameOf returns a listed manifest's name, as reference.String writes it.
func NameOf(d v1.Descriptor) string { return d.Annotations[AnnotationName] }

// Tag gives an image one more name.
func (s *Store) Tag(ref, name string) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return s.changeIndex(func(index *v1.IndexManifest) error {
		manifest, err := s.find(index, ref)
		if err != nil {
			return err
		}
		manifest.Annotations = nil
		enter(index, manifest, name, v1.Hash{})
		return nil
	})
}
