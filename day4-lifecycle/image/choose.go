package image

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ErrNotImage is in the error for a manifest of something else, an artifact.
var ErrNotImage = errors.New("not a container image")

// MayBeImage reports whether a listed document may be an image or an index of
// images. Indexes also list signatures, attestations and whatever else people
// keep in registries; unknown types are to be ignored. OCI image-spec,
// image-index.md
func MayBeImage(d v1.Descriptor) bool {
	known := d.MediaType == "" || d.MediaType.IsImage() || d.MediaType.IsIndex()
	return known && d.ArtifactType == "" && d.Annotations["vnd.docker.reference.type"] == "" && (d.Platform == nil || d.Platform.OS != "unknown")
}

// ChooseManifest returns the manifest in a document or, if that is an index,
// the one in it for a platform. It calls fetch for the other indexes, manifests
// and configurations that it needs. The document must be of the type that the
// registry or archive stated.
func ChooseManifest(text []byte, stated types.MediaType, want v1.Platform, fetch func(v1.Descriptor) ([]byte, error)) ([]byte, *v1.Manifest, error) {
	index, m, err := parse(text, stated)
	if index != nil {
		return Choose(index.Manifests, want, fetch)
	}
	return text, m, err
}

// parse reads a document that is either an index or a manifest.
func parse(text []byte, stated types.MediaType) (index *v1.IndexManifest, m *v1.Manifest, err error) {
	isIndex, err := checkKind(text, stated)
	switch {
	case err != nil:
	case isIndex:
		index, err = ParseIndex(text)
	default:
		m, err = ParseManifest(text)
	}
	return index, m, err
}

// Choose is ChooseManifest for some entries of an index.
func Choose(entries []v1.Descriptor, want v1.Platform, fetch func(v1.Descriptor) ([]byte, error)) (text []byte, m *v1.Manifest, err error) {
	c := chooser{want: want, fetch: fetch}
	if err := c.consider(entries, 0); err != nil {
		return nil, nil, err
	}
	if c.fit == 0 {
		return nil, nil, fmt.Errorf("no image for %s: there is %s", want, cmp.Or(strings.Join(c.there, ", "), "nothing"))
	}
	if text, err = c.get(c.best); err == nil {
		m, err = ParseManifest(text)
	}
	return text, m, err
}

// A chooser looks for the best manifest. If an entry has no platform, the
// image's configuration has it.
type chooser struct {
	want    v1.Platform
	fetch   func(v1.Descriptor) ([]byte, error)
	fetched int

	best  v1.Descriptor
	fit   int
	there []string // other platforms
}

// Indexes within indexes could keep us busy forever.
const (
	maxDepth     = 4
	maxDocuments = 100
)

func (c *chooser) get(d v1.Descriptor) ([]byte, error) {
	if c.fetched++; c.fetched > maxDocuments {
		return nil, fmt.Errorf("it takes more than %d documents to find the image", maxDocuments)
	}
	return c.fetch(d)
}

// consider looks at the entries of an index for one that is better than any
// before.
func (c *chooser) consider(entries []v1.Descriptor, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d indexes in one another", maxDepth)
	}
	for _, d := range entries {
		if !MayBeImage(d) {
			continue
		}
		if err := c.look(d, depth); err != nil {
			return err
		}
	}
	return nil
}

// look looks at an entry and, if that does not say enough, into it.
func (c *chooser) look(d v1.Descriptor, depth int) error {
	platform := d.Platform
	if platform == nil || !d.MediaType.IsImage() && Fit(*platform, c.want) > 0 {
		text, err := c.get(d)
		if err != nil {
			return err
		}
		index, m, err := parse(text, d.MediaType)
		switch {
		case errors.Is(err, ErrNotImage):
			return nil
		case err != nil:
			return err
		case index != nil:
			return c.consider(index.Manifests, depth+1)
		case platform == nil:
			if platform, err = c.platform(m); err != nil {
				return err
			}
		}
	}
	c.there = append(c.there, platform.String())
	if fit := Fit(*platform, c.want); fit > c.fit {
		c.best, c.fit = d, fit
	}
	return nil
}

func (c *chooser) platform(m *v1.Manifest) (*v1.Platform, error) {
	text, err := c.get(m.Config)
	if err != nil {
		return nil, err
	}
	config, err := ParseConfig(text, m)
	if err != nil {
		return nil, err
	}
	return platformOf(config), nil
}
