package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"example.com/go-docker/day4-lifecycle/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func (s *Store) readIndex() (*v1.IndexManifest, error) {
	path := s.Path("index.json")
	text, err := image.ReadDocument(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}, nil // [], not null
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

// changeIndex applies change, which may do more under the lock, to index.json.
func (s *Store) changeIndex(change func(*v1.IndexManifest) error) error {
	held, err := s.Lock()
	if err != nil {
		return err
	}
	defer held.Close()
	index, err := s.readIndex()
	if err != nil {
		return err
	}
	if err := change(index); err != nil {
		return err
	}
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return s.replace("index.json", append(text, '\n'))
}

// Publish lists an image whose layers are all in the store: its documents
// become blobs, and it gets the name, which may be "". For an image from a
// registry, pulled is the registry's digest for it. Publish reports whether
// that changed anything.
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
	entry.MediaType, entry.Platform = cmp.Or(m.MediaType, types.OCIManifestSchema1), c.Platform()
	if err := s.Sync(); err != nil {
		return false, err
	}
	err = s.changeIndex(func(index *v1.IndexManifest) error {
		isNew = !slices.ContainsFunc(index.Manifests, func(d v1.Descriptor) bool {
			return d.Digest == entry.Digest && image.NameOf(d) == name
		})
		image.Enter(index, entry, name, pulled)
		return nil
	})
	return isNew, err
}

// Tag gives an image another full name.
func (s *Store) Tag(ref, name string) error {
	return s.changeIndex(func(index *v1.IndexManifest) error {
		entry, err := s.find(index, ref)
		if err != nil {
			return err
		}
		image.Enter(index, entry, name, v1.Hash{})
		return nil
	})
}
