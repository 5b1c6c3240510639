package image

import (
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ErrNotImage is in the error for a manifest of something else: of an artifact.
var ErrNotImage = errors.New("not a container image")

// MayBeImage tells whether a listed document may be an image, or have images:
// beside them indexes list signatures, attestations and what else people keep
// in registries. OCI image-spec, image-index.md: unknown types are ignored.
func MayBeImage(d v1.Descriptor) bool {
	known := d.MediaType == "" || d.MediaType.IsImage() || d.MediaType.IsIndex()
	return known && d.ArtifactType == "" && d.Annotations["vnd.docker.reference.type"] == "" && (d.Platform == nil || d.Platform.OS != "unknown")
}

// ChooseManifest returns the manifest that a document is or, for an index, the
// one in it for a platform. What else it takes to find that, fetch gets:
// indexes, manifests and configurations. The type that a registry or an archive
// has stated must be what the document is.
func ChooseManifest(text []byte, stated types.MediaType, want v1.Platform, fetch func(v1.Descriptor) ([]byte, error)) ([]byte, *v1.Manifest, error) {
	isIndex, err := isIndex(text, stated)
	if err != nil {
		return nil, nil, err
	}
	if isIndex {
		index, err := ParseIndex(text)
		if err != nil {
			return nil, nil, err
		}
		return Choose(index.Manifests, want, fetch)
	}
	m, err := ParseManifest(text)
	return text, m, err
}

// Choose is ChooseManifest for a part of an index.
func Choose(entries []v1.Descriptor, want v1.Platform, fetch func(v1.Descriptor) ([]byte, error)) (text []byte, m *v1.Manifest, err error) {
	c := chooser{want: want, fetch: fetch}
	if err := c.consider(entries, 0); err != nil {
		return nil, nil, err
	}
	if c.fit == 0 {
		if len(c.there) == 0 {
			c.there = []string{"nothing"}
		}
		return nil, nil, fmt.Errorf("no image for %s: there is %s", want, strings.Join(c.there, ", "))
	}
	if text, err = c.get(c.best); err == nil {
		m, err = ParseManifest(text)
	}
	return text, m, err
}

// A chooser looks for the best manifest. One without a platform in its entry says
// it in its configuration.
type chooser struct {
	want    v1.Platform
	fetch   func(v1.Descriptor) ([]byte, error)
	fetched int

	best  v1.Descriptor
	fit   int
	there []string // other platforms
}

// Indexes in indexes could keep us busy for ever.
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

func (c *chooser) consider(entries []v1.Descriptor, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d indexes in one another", maxDepth)
	}
	for _, d := range entries {
		switch {
		case !MayBeImage(d):
		case d.Platform != nil && (d.MediaType.IsImage() || Fit(*d.Platform, c.want) == 0):
			c.offer(d, *d.Platform)
		default:
			if err := c.look(d, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// offer takes a manifest if none before was better.
func (c *chooser) offer(d v1.Descriptor, p v1.Platform) {
	c.there = append(c.there, p.String())
	if fit := Fit(p, c.want); fit > c.fit {
		c.best, c.fit = d, fit
	}
}

// look looks into a document.
func (c *chooser) look(d v1.Descriptor, depth int) error {
	text, err := c.get(d)
	if err != nil {
		return err
	}
	isIndex, err := isIndex(text, d.MediaType)
	if err != nil {
		return err
	}
	if isIndex {
		index, err := ParseIndex(text)
		if err != nil {
			return err
		}
		return c.consider(index.Manifests, depth+1)
	}
	m, err := ParseManifest(text)
	if errors.Is(err, ErrNotImage) {
		return nil
	}
	if err == nil && d.Platform == nil {
		text, err = c.get(m.Config)
	}
	if err != nil {
		return err
	}
	if d.Platform == nil {
		config, err := ParseConfig(text, m)
		if err != nil {
			return err
		}
		d.Platform = PlatformOf(config)
	}
	c.offer(d, *d.Platform)
	return nil
}
