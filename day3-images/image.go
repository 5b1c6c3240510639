package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/go-docker/day3-images/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sirupsen/logrus"
)

// An image is a configuration and layers, held together by a manifest. The
// manifest names each by the SHA-256 of its content, so the manifest's own
// digest stands for all of it.
type Image struct {
	ID       string   // the digest of the configuration, sha256:...
	Names    []string // full names, as reference.String writes them
	Config   *v1.ConfigFile
	Manifest *v1.Manifest

	manifest v1.Descriptor
	digests  []string // repository@digest, as registries know the image
}

// errNoImage is in the error of resolve when the store does not have the image.
var errNoImage = errors.New("no such image")

// resolve finds an image by name, by name and digest, by ID or by the start of
// its ID.
func (s *store) resolve(ref string) (*Image, error) {
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

// images returns all images, the newest entry first.
func (s *store) images() ([]*Image, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	var all []*Image
	for _, d := range slices.Backward(index.Manifests) {
		if slices.ContainsFunc(all, func(img *Image) bool { return img.manifest.Digest == d.Digest }) {
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

// find returns the entry of the index that ref means: a name first, then an ID,
// as Docker does it.
func (s *store) find(index *v1.IndexManifest, ref string) (v1.Descriptor, error) {
	r, errName := image.ParseReference(ref)
	if errName == nil {
		for _, d := range index.Manifests {
			if isNamed(d, r) {
				return d, nil
			}
		}
	}
	if image.Matches(`^(sha256:)?[a-f0-9]{1,64}$`, ref) {
		d, err := s.findID(index, strings.TrimPrefix(ref, "sha256:"))
		if !errors.Is(err, errNoImage) {
			return d, err
		}
		errName = nil
	}
	if errName != nil {
		return v1.Descriptor{}, errName
	}
	return v1.Descriptor{}, fmt.Errorf("%w: %s", errNoImage, ref)
}

// isNamed tells whether an entry of the index is what the reference means.
func isNamed(d v1.Descriptor, r image.Reference) bool {
	if r.Tag != "" {
		return nameOf(d) == r.String()
	}
	repository, _ := image.SplitName(nameOf(d))
	return repository == r.Repository() && (d.Digest == r.Digest || d.Annotations[annotationPulled] == r.Digest.String())
}

func (s *store) findID(index *v1.IndexManifest, prefix string) (found v1.Descriptor, err error) {
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
		return found, errNoImage
	}
	return found, nil
}

func (s *store) readManifest(manifest v1.Descriptor) (*v1.Manifest, error) {
	text, err := s.readBlob(manifest)
	if err != nil {
		return nil, err
	}
	return image.ParseManifest(text)
}

func (s *store) readConfig(m *v1.Manifest) (*v1.ConfigFile, error) {
	text, err := s.readBlob(m.Config)
	if err != nil {
		return nil, err
	}
	return image.ParseConfig(text, m)
}

func (s *store) readImage(index *v1.IndexManifest, manifest v1.Descriptor) (*Image, error) {
	m, err := s.readManifest(manifest)
	if err != nil {
		return nil, describe(manifest, err)
	}
	config, err := s.readConfig(m)
	if err != nil {
		return nil, describe(manifest, err)
	}
	img := &Image{ID: m.Config.Digest.String(), Config: config, Manifest: m, manifest: manifest}
	img.manifest.Annotations = nil
	for _, d := range index.Manifests {
		if d.Digest != manifest.Digest || nameOf(d) == "" {
			continue
		}
		img.Names = append(img.Names, nameOf(d))
		repository, _ := image.SplitName(nameOf(d))
		if pulled := d.Annotations[annotationPulled]; pulled != "" && !slices.Contains(img.digests, repository+"@"+pulled) {
			img.digests = append(img.digests, repository+"@"+pulled)
		}
	}
	return img, nil
}

// describe says which image an error is about.
func describe(manifest v1.Descriptor, err error) error {
	name := image.Familiar(nameOf(manifest))
	if name == "" {
		name = manifest.Digest.String()
	}
	return fmt.Errorf("image %s: %w", name, err)
}
