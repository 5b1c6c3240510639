// Package image reads the documents that describe an image: names, manifests,
// indexes, configurations, digests. They all come from outside, so they are
// parsed and bounded here and nowhere else.
//
// It grew from rung 09-image, adds Docker's names, platforms and limits, and
// refuses anything that can be read in two ways.
package image

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Reference is an image's full name: busybox is docker.io/library/busybox:latest.
type Reference struct {
	Domain string  // the registry
	Path   string  // the repository in it
	Tag    string  // or
	Digest v1.Hash // always names the same content, while a tag can be moved
}

// A full name is DOMAIN/PATH[:TAG][@DIGEST]. The grammar is that of the OCI
// distribution specification ("Pulling manifests") and, for the domain, which
// that lacks, Docker's. The library for it compiles a dozen such expressions in
// every command, which makes run --help 15 % slower.
const (
	label     = `[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?`
	domain    = `((?:` + label + `(?:\.` + label + `)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?)`
	component = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	path      = `(` + component + `(?:/` + component + `)*)`
)

var grammar = regexp.MustCompile(`^` + domain + `/` + path + `(?::(\w[\w.-]*))?(?:@(\w+:\w+))?$`)

// ParseReference reads a name as a user types it: [DOMAIN/]PATH[:TAG][@DIGEST].
// As in Docker, a digest is enough, and a tag next to it does not count.
func ParseReference(text string) (r Reference, err error) {
	const maxName, maxTag = 255, 128
	parts := grammar.FindStringSubmatch(complete(text))
	switch {
	case parts == nil || len(parts[1]+"/"+parts[2]) > maxName || len(parts[3]) > maxTag:
		err = errors.New("want [REGISTRY/]REPOSITORY[:TAG|@DIGEST], the repository in lowercase")
	case len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "":
		err = errors.New("it would be taken for an image ID")
	case parts[4] != "":
		r.Digest, err = v1.NewHash(parts[4])
	default:
		r.Tag = cmp.Or(parts[3], "latest")
	}
	if err != nil {
		return r, fmt.Errorf("invalid image name %q: %w", text, err)
	}
	r.Domain, r.Path = parts[1], parts[2]
	return r, nil
}

// complete adds what may be left out in front: docker.io, Docker Hub, and
// there library, which has Docker's own images. It distinguishes
// example.com/app from library/app: a domain has a dot, a port or a capital
// letter in it, or is localhost.
func complete(name string) string {
	first, rest, found := strings.Cut(name, "/")
	switch {
	case !found:
		return "docker.io/library/" + name
	case (first == "docker.io" || first == "index.docker.io") && !strings.Contains(rest, "/"):
		return "docker.io/library/" + rest
	case first == "index.docker.io":
		return "docker.io/" + rest
	case strings.ContainsAny(first, ".:") || first == "localhost" || strings.ToLower(first) != first:
		return name
	}
	return "docker.io/" + name
}

func (r Reference) Repository() string { return r.Domain + "/" + r.Path }

// String returns the full name, under which index.json has the image.
func (r Reference) String() string {
	if r.Tag == "" {
		return r.Repository() + "@" + r.Digest.String()
	}
	return r.Repository() + ":" + r.Tag
}

// Familiar leaves out what Docker leaves out when it shows a name, unless the
// rest would then mean something else.
func Familiar(name string) string {
	for _, prefix := range []string{"docker.io/library/", "docker.io/"} {
		if short, ok := strings.CutPrefix(name, prefix); ok && complete(short) == name {
			return short
		}
	}
	return name
}

// FullTag checks the name of a new image.
func FullTag(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	ref, err := ParseReference(name)
	if err == nil && ref.Tag == "" {
		err = fmt.Errorf("invalid image name %q: a digest cannot be chosen", name)
	}
	if err == nil && ref.Repository() == "docker.io/library/sha256" {
		err = fmt.Errorf("invalid image name %q: it would be taken for an image ID", name)
	}
	return ref.String(), err
}

// SplitName splits a full name; the tag is "" if there is none.
func SplitName(name string) (repository, tag string) {
	repository, _, isDigest := strings.Cut(name, "@")
	if i := strings.LastIndex(name, ":"); i >= 0 && !isDigest {
		return name[:i], name[i+1:]
	}
	return repository, ""
}

// ShortID returns an ID as Docker shows it: 12 digits are enough to tell images
// apart.
func ShortID(id string) string { return strings.TrimPrefix(id, "sha256:")[:12] }
