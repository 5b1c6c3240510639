package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/go-docker/day4-lifecycle/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sirupsen/logrus"
)

// An Image is a configuration and layers, held together by a manifest. The
// manifest names each by the SHA-256 of its content, so the manifest's own
// digest stands for the whole image.
type Image struct {
	ID       string   // the digest of the configuration, sha256:...
	Names    []string // full names, as Reference.String writes them
	Digests  []string // repository@digest, the registries' names for the image
	Config   *v1.ConfigFile
	Manifest *v1.Manifest

	Descriptor v1.Descriptor // of the manifest
}

// ErrNoImage is in Resolve's error if the store does not have the image.
var ErrNoImage = errors.New("no such image")

// Resolve finds an image by name, by name and digest, by ID or by the start of
// its ID.
func (s *Store) Resolve(ref string) (*Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := s.find(index, ref)
	if err != nil {
		return nil, err
	}
	return s.readImage(index, manifest)
}

// Images returns all images, the newest entry first.
func (s *Store) Images() ([]*Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	var all []*Image
	for _, d := range slices.Backward(index.Manifests) {
		if slices.ContainsFunc(all, func(img *Image) bool { return img.Descriptor.Digest == d.Digest }) {
			continue
		}
		img, err := s.readImage(index, d)
		if err != nil {
			logrus.Warnf("cannot read an image: %v", err)
			continue
		}
		all = append(all, img)
	}
	return all, nil
}

// find returns the entry of the index that ref means: first by name, then by
// ID, as in Docker.
func (s *Store) find(index *v1.IndexManifest, ref string) (found v1.Descriptor, err error) {
	r, errName := image.ParseReference(ref)
	for _, d := range index.Manifests {
		if errName == nil && image.IsNamed(d, r) {
			return d, nil
		}
	}
	prefix := strings.TrimPrefix(ref, "sha256:")
	if prefix == "" || strings.Trim(prefix, "0123456789abcdef") != "" {
		return found, cmp.Or(errName, fmt.Errorf("%w: %s", ErrNoImage, ref))
	}
	id := ""
	for _, d := range index.Manifests {
		m, err := s.readManifest(d)
		if err != nil || !strings.HasPrefix(m.Config.Digest.Hex, prefix) {
			continue
		}
		if id != "" && id != m.Config.Digest.Hex {
			return found, fmt.Errorf("more than one image has an ID that starts with %s", prefix)
		}
		id, found = m.Config.Digest.Hex, d
	}
	if id == "" {
		return found, fmt.Errorf("%w: %s", ErrNoImage, ref)
	}
	return found, nil
}

func (s *Store) readManifest(manifest v1.Descriptor) (*v1.Manifest, error) {
	text, err := s.readBlob(manifest)
	if err != nil {
		return nil, err
	}
	return image.ParseManifest(text)
}

func (s *Store) readImage(index *v1.IndexManifest, entry v1.Descriptor) (*Image, error) {
	m, err := s.readManifest(entry)
	if err != nil {
		return nil, describe(entry, err)
	}
	text, err := s.readBlob(m.Config)
	if err != nil {
		return nil, describe(entry, err)
	}
	config, err := image.ParseConfig(text, m)
	if err != nil {
		return nil, describe(entry, err)
	}
	img := &Image{
		ID: m.Config.Digest.String(), Names: image.NamesOf(index, entry.Digest), Digests: image.PulledAs(index, entry.Digest),
		Config: config, Manifest: m, Descriptor: entry,
	}
	img.Descriptor.Annotations = nil
	return img, nil
}

// describe adds to an error which image it is about.
func describe(manifest v1.Descriptor, err error) error {
	return fmt.Errorf("image %s: %w", cmp.Or(image.Familiar(image.NameOf(manifest)), manifest.Digest.String()), err)
}
