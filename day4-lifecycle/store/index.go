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
// without a name once.

// pulledAs is an annotation of our own: the digest that the registry has for
// the image. It is the manifest's, or that of an index from which one manifest
// was chosen.
const pulledAs = "go-docker.pulled-digest"

func (s *Store) readIndex() (*v1.IndexManifest, error) {
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
	index, err := s.readIndex()
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

// Publish lists an image, all of whose layers are in the store: its documents
// become blobs, and it gets the name, which may be "". For an image from a
// registry, pulled is the digest that the registry has for it. Publish reports
// whether that changed anything.
func (s *Store) Publish(j *Job, manifest, config []byte, name string, pulled v1.Hash) (isNew bool, err error) {
	m, err := image.ParseManifest(manifest)
	if err != nil {
		return false, err
	}
	c, err := image.ParseConfig(config, m)
	if err != nil {
		return false, err
	}
	if _, err := s.writeBlob(j, config); err != nil {
		return false, err
	}
	entry, err := s.writeBlob(j, manifest)
	if err != nil {
		return false, err
	}
	entry.MediaType, entry.Platform = image.MediaTypeOf(m), c.Platform()
	if err := s.Sync(); err != nil {
		return false, err
	}
	unlock, err := s.Lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	err = s.changeIndex(func(index *v1.IndexManifest) error {
		isNew = !slices.ContainsFunc(index.Manifests, func(d v1.Descriptor) bool {
			return d.Digest == entry.Digest && nameOf(d) == name
		})
		enter(index, entry, name, pulled)
		return nil
	})
	return isNew, err
}

// Tag gives an image one more name, a full one.
func (s *Store) Tag(ref, name string) error {
	unlock, err := s.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	return s.changeIndex(func(index *v1.IndexManifest) error {
		entry, err := s.find(index, ref)
		if err != nil {
			return err
		}
		enter(index, entry, name, v1.Hash{})
		return nil
	})
}

// enter lists a manifest under a name, or without one. If the name was another
// image's, that one stays in the list without it.
func enter(index *v1.IndexManifest, entry v1.Descriptor, name string, pulled v1.Hash) {
	entry.Annotations = nil
	if name != "" {
		leave(index, name)
		entry.Annotations = image.NameAnnotations(name)
		if pulled != (v1.Hash{}) {
			entry.Annotations[pulledAs] = pulled.String()
		}
	}
	listed := func(d v1.Descriptor) bool { return d.Digest == entry.Digest }
	if name == "" && slices.ContainsFunc(index.Manifests, listed) {
		return
	}
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool {
		return listed(d) && nameOf(d) == ""
	})
	index.Manifests = append(index.Manifests, entry)
}

// leave takes a name off the list. The image stays.
func leave(index *v1.IndexManifest, name string) {
	i := slices.IndexFunc(index.Manifests, func(d v1.Descriptor) bool { return nameOf(d) == name })
	if i < 0 {
		return
	}
	entry := index.Manifests[i]
	index.Manifests = slices.Delete(index.Manifests, i, i+1)
	enter(index, entry, "", v1.Hash{})
}

// nameOf returns a listed manifest's full name.
func nameOf(d v1.Descriptor) string { return d.Annotations[image.AnnotationName] }

func namesOf(index *v1.IndexManifest, digest v1.Hash) (names []string) {
	for _, d := range index.Manifests {
		if d.Digest == digest && nameOf(d) != "" {
			names = append(names, nameOf(d))
		}
	}
	return names
}
