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
// one in it for a platform, which fetch gets. The type that a registry or an
// archive has stated must be what the document is.
func ChooseManifest(text []byte, stated types.MediaType, want v1.Platform, fetch func(v1.Descriptor) ([]byte, error)) ([]byte, *v1.Manifest, error) {
	isIndex, err := isIndex(text, stated)
	if err != nil {
		return nil, nil, err
	}
	if isIndex {
		best, err := choose(text, want)
		if err != nil {
			return nil, nil, err
		}
		if text, err = fetch(best); err != nil {
			return nil, nil, err
		}
	}
	m, err := ParseManifest(text)
	return text, m, err
}

// choose returns an index's best entry for a platform. One that does not say its
// own is worse than any that fits. What an index in the index has does not count.
func choose(text []byte, want v1.Platform) (best v1.Descriptor, err error) {
	index, err := ParseIndex(text)
	if err != nil {
		return best, err
	}
	bestFit, there := 0, []string{}
	for _, d := range index.Manifests {
		if !MayBeImage(d) || d.MediaType.IsIndex() {
			continue
		}
		var platform v1.Platform
		if d.Platform != nil {
			platform = *d.Platform
			there = append(there, platform.String())
		}
		if fit := Fit(platform, want); fit > bestFit {
			best, bestFit = d, fit
		}
	}
	switch {
	case bestFit > 0:
		return best, nil
	case len(there) == 0:
		there = []string{"nothing"}
	}
	return best, fmt.Errorf("no image for %s: there is %s", want, strings.Join(there, ", "))
}
