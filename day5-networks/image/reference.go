// Package image reads the documents that describe an image: names, manifests,
// indexes, configurations, digests. They all come from outside, so they are
// parsed and bounded here and nowhere else.
//
// It grew from rung 09-image, adds Docker's names, platforms and limits, and
// refuses anything that can be read in two ways.
package image

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Reference is an image's full name: busybox is docker.io/library/busybox:latest.
type Reference struct {
	Domain string  // the registry
	Path   string  // the repository in it
	Tag    string  // or
	Digest v1.Hash // always names the same content, while a tag can be moved
}

const (
	defaultDomain = "docker.io"
	officialPath  = "library/" // Docker Hub's own images
	defaultTag    = "latest"
)

// The grammar is that of the OCI distribution specification ("Pulling
// manifests") and, for the domain, which that lacks, Docker's. It is compiled
// when a name is first read, because most commands never need it.
var (
	domainGrammar = grammar(`(LABEL(\.LABEL)*|\[[a-fA-F0-9:]+\])(:[0-9]+)?`)
	pathGrammar   = grammar(`PART(/PART)*`)
	tagGrammar    = grammar(`[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`)
)

func grammar(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp {
		text = strings.ReplaceAll(text, "LABEL", `[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?`)
		text = strings.ReplaceAll(text, "PART", `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`)
		return regexp.MustCompile("^(" + text + ")$")
	})
}

// ParseReference reads a name as a user types it: [DOMAIN/]PATH[:TAG][@DIGEST].
func ParseReference(text string) (Reference, error) {
	r, err := splitReference(text)
	if err != nil {
		return r, fmt.Errorf("invalid image name %q: %w", text, err)
	}
	return r, nil
}

func splitReference(text string) (r Reference, err error) {
	name, digest, hasDigest := strings.Cut(text, "@")
	if hasDigest {
		if r.Digest, err = v1.NewHash(digest); err != nil {
			return r, err
		}
	}
	r.Domain, r.Path = splitDomain(name)
	if i := strings.LastIndex(r.Path, ":"); i >= 0 {
		r.Path, r.Tag = r.Path[:i], r.Path[i+1:]
		if !tagGrammar().MatchString(r.Tag) {
			return r, fmt.Errorf("%q is not a tag", r.Tag)
		}
	}
	if r.Domain == defaultDomain && !strings.Contains(r.Path, "/") {
		r.Path = officialPath + r.Path
	}
	switch {
	case !domainGrammar().MatchString(r.Domain):
		return r, fmt.Errorf("%q is not a registry", r.Domain)
	case strings.ToLower(r.Path) != r.Path:
		return r, errors.New("a repository name must be lowercase")
	case !pathGrammar().MatchString(r.Path) || len(r.Domain)+1+len(r.Path) > 255:
		return r, fmt.Errorf("%q is not a repository", strings.TrimPrefix(r.Path, officialPath))
	case len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "":
		return r, errors.New("it would be taken for an image ID")
	}
	switch {
	case hasDigest:
		r.Tag = "" // as in Docker, the digest is enough
	case r.Tag == "":
		r.Tag = defaultTag
	}
	return r, nil
}

// splitDomain distinguishes example.com/app from library/app: a domain has a
// dot, a port or a capital letter in it, or is localhost.
func splitDomain(name string) (domain, path string) {
	first, rest, found := strings.Cut(name, "/")
	isDomain := strings.ContainsAny(first, ".:") || first == "localhost" || strings.ToLower(first) != first
	switch {
	case !found || !isDomain:
		return defaultDomain, name
	case first == "index.docker.io":
		return defaultDomain, rest
	}
	return first, rest
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
	short, ok := strings.CutPrefix(name, defaultDomain+"/")
	if official, ok := strings.CutPrefix(short, officialPath); ok && !strings.Contains(official, "/") {
		short = official
	}
	if domain, _ := splitDomain(short); !ok || domain != defaultDomain {
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
	if err == nil && ref.Tag == "" {
		err = fmt.Errorf("invalid image name %q: a digest cannot be chosen", name)
	}
	if err == nil && ref.Repository() == defaultDomain+"/"+officialPath+"sha256" {
		err = fmt.Errorf("invalid image name %q: it would be taken for an image ID", name)
	}
	return ref.String(), err
}

// SplitName splits a full name; the tag is "" if there is none.
func SplitName(name string) (repository, tag string) {
	if repository, _, found := strings.Cut(name, "@"); found {
		return repository, ""
	}
	if i := strings.LastIndex(name, ":"); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// ShortID returns an ID as Docker shows it: 12 digits are enough to tell images
// apart.
func ShortID(id string) string { return strings.TrimPrefix(id, "sha256:")[:12] }
