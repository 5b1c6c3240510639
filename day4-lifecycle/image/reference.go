// Package image reads what an image is written down in: names, manifests,
// indexes, configurations, digests. All of it comes from outside, so all of it
// is parsed and bounded here and nowhere else.
//
// From rung 09-image, plus: Docker's names, platforms, limits, and a refusal of
// what can be read in two ways.
package image

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Reference is an image's full name: busybox is docker.io/library/busybox:latest.
type Reference struct {
	Domain string  // the registry
	Path   string  // the repository in it
	Tag    string  // or
	Digest v1.Hash // which names a content for good, where a tag can be moved
}

// ParseReference reads a name as a user types it: [DOMAIN/]PATH[:TAG][@DIGEST].
// With a digest the tag counts for nothing.
func ParseReference(text string) (r Reference, err error) {
	named, err := reference.ParseDockerRef(text)
	if err != nil {
		return r, fmt.Errorf("invalid image name %q: %w", text, err)
	}
	r.Domain, r.Path = reference.Domain(named), reference.Path(named)
	switch named := named.(type) {
	case reference.Tagged:
		r.Tag = named.Tag()
	case reference.Digested:
		if r.Digest, err = v1.NewHash(named.Digest().String()); err != nil {
			return r, fmt.Errorf("invalid image name %q: %w", text, err)
		}
	}
	return r, nil
}

func (r Reference) Repository() string { return r.Domain + "/" + r.Path }

// String returns the full name, under which index.json has the image.
func (r Reference) String() string {
	if r.Tag == "" {
		return r.Repository() + "@" + r.Digest.String()
	}
	return r.Repository() + ":" + r.Tag
}

// Familiar leaves out what Docker leaves out when it shows a name, unless what
// is left would be taken for something else.
func Familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	short := reference.FamiliarString(named)
	if again, err := reference.ParseNormalizedNamed(short); err != nil || again.String() != name {
		return name
	}
	return short
}

// FullTag checks the name of a new image.
func FullTag(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	ref, err := ParseReference(name)
	switch {
	case err != nil:
		return "", err
	case ref.Tag == "":
		return "", fmt.Errorf("invalid image name %q: a digest cannot be chosen", name)
	case ref.Repository() == "docker.io/library/sha256":
		return "", fmt.Errorf("invalid image name %q: it would be taken for an image ID", name)
	}
	return ref.String(), nil
}

// SplitName takes a full name apart; without a tag that is "".
func SplitName(name string) (repository, tag string) {
	repository, _, digested := strings.Cut(name, "@")
	if i := strings.LastIndex(repository, ":"); i >= 0 && !digested {
		return repository[:i], repository[i+1:]
	}
	return repository, ""
}

// ShortID is how Docker shows an ID: 12 digits are enough to tell images apart.
func ShortID(id string) string { return strings.TrimPrefix(id, "sha256:")[:12] }
