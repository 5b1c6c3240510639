package image

import (
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// An index.json lists manifests. An image with two names is in it twice, one
// without a name once. The names are annotations: skopeo and podman read the
// first, containerd the second.
const (
	AnnotationName       = "org.opencontainers.image.ref.name"
	AnnotationContainerd = "io.containerd.image.name"

	// The registry's digest for the image: that of the manifest, or of the
	// index from which the manifest was chosen.
	annotationPulled = "go-docker.pulled-digest"
)

// NameAnnotations returns the annotations for an image's full name.
func NameAnnotations(name string) map[string]string {
	return map[string]string{AnnotationName: name, AnnotationContainerd: name}
}

// NameOf returns a listed manifest's full name, or "".
func NameOf(d v1.Descriptor) string { return d.Annotations[AnnotationName] }

// NamesOf returns all names under which a manifest is listed.
func NamesOf(index *v1.IndexManifest, digest v1.Hash) (names []string) {
	for _, d := range index.Manifests {
		if d.Digest == digest && NameOf(d) != "" {
			names = append(names, NameOf(d))
		}
	}
	return names
}

// PulledAs returns the names of the form repository@digest that registries have
// for a manifest.
func PulledAs(index *v1.IndexManifest, digest v1.Hash) (names []string) {
	for _, d := range index.Manifests {
		if pulled := d.Annotations[annotationPulled]; d.Digest == digest && pulled != "" {
			repository, _ := SplitName(NameOf(d))
			names = append(names, repository+"@"+pulled)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// IsNamed reports whether the reference names a listed manifest.
func IsNamed(d v1.Descriptor, r Reference) bool {
	if r.Tag != "" {
		return NameOf(d) == r.String()
	}
	repository, _ := SplitName(NameOf(d))
	return repository == r.Repository() && (d.Digest == r.Digest || d.Annotations[annotationPulled] == r.Digest.String())
}

// Enter lists a manifest under a name, or without one, and with the registry's
// digest for it, if that is not zero. If another image had the name, it loses
// the name but stays in the list.
func Enter(index *v1.IndexManifest, entry v1.Descriptor, name string, pulled v1.Hash) {
	entry.Annotations = nil
	if name != "" {
		Leave(index, name)
		entry.Annotations = NameAnnotations(name)
		if pulled != (v1.Hash{}) {
			entry.Annotations[annotationPulled] = pulled.String()
		}
	}
	listed := func(d v1.Descriptor) bool { return d.Digest == entry.Digest }
	if name == "" && slices.ContainsFunc(index.Manifests, listed) {
		return
	}
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool {
		return listed(d) && NameOf(d) == ""
	})
	index.Manifests = append(index.Manifests, entry)
}

// Leave removes a name from the list. The image stays.
func Leave(index *v1.IndexManifest, name string) {
	i := slices.IndexFunc(index.Manifests, func(d v1.Descriptor) bool { return NameOf(d) == name })
	if i < 0 {
		return
	}
	entry := index.Manifests[i]
	index.Manifests = slices.Delete(index.Manifests, i, i+1)
	Enter(index, entry, "", v1.Hash{})
}
