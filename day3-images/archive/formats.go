package archive

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"example.com/go-docker/day3-images/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"
)

// An archived image is an image in an archive, under one of its names.
type archived struct {
	manifest []byte
	m        *v1.Manifest
	name     string // full, or "" if it has none
}

// images lists the images in the archive. With index.json it is an OCI image
// layout, with manifest.json the output of docker save; if it has both,
// index.json says more.
func (a *spool) images(platform v1.Platform) ([]archived, error) {
	text, errIndex := a.named("index.json")
	if errIndex == nil {
		index, err := image.ParseIndex(text)
		if err != nil {
			return nil, fmt.Errorf("index.json: %w", err)
		}
		return a.ociImages(index, platform)
	}
	text, err := a.named("manifest.json")
	if err != nil {
		return nil, fmt.Errorf("not an image archive: %w, and %w (import takes the tar of a root file system)", err, errIndex)
	}
	all, err := a.dockerImages(text)
	if err == nil && len(all) == 0 {
		err = errors.New("there is no image in it")
	}
	if err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	return all, nil
}

// ociImages finds the image for the platform under each name. Of the images
// without a name, it takes all that are not known to be for another platform.
func (a *spool) ociImages(index *v1.IndexManifest, platform v1.Platform) (all []archived, err error) {
	entries := slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool { return !image.MayBeImage(d) })
	var names []string
	byName := map[string][]v1.Descriptor{}
	missing := errors.New("there is no image in it")
	for _, d := range entries {
		name := archivedName(d)
		if name == "" && len(entries) > 1 && d.Platform != nil && image.Fit(*d.Platform, platform) == 0 {
			missing = fmt.Errorf("no image for %s: there is %s", platform, d.Platform)
			continue
		}
		if name == "" || byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], d)
	}
	for _, name := range names {
		group := byName[name]
		if name == "" { // each is an image of its own
			group, byName[name] = group[:1], group[1:]
		}
		img := archived{name: name}
		img.manifest, img.m, err = a.choose(group, platform)
		if errors.Is(err, image.ErrNotImage) {
			missing = err
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, img)
	}
	if len(all) == 0 {
		return nil, missing
	}
	return all, nil
}

// choose returns the manifest of the image that entries with the same name are
// about. A single one need not be for the platform.
func (a *spool) choose(entries []v1.Descriptor, platform v1.Platform) ([]byte, *v1.Manifest, error) {
	if len(entries) > 1 {
		return image.Choose(entries, platform, a.document)
	}
	text, err := a.document(entries[0])
	if err != nil {
		return nil, nil, err
	}
	return image.ChooseManifest(text, entries[0].MediaType, platform, a.document)
}

// archivedName returns an image's full name in an OCI archive, or "". Programs
// do not agree on where to put it, and some put only a tag there.
func archivedName(d v1.Descriptor) string {
	name := cmp.Or(d.Annotations[image.AnnotationContainerd], d.Annotations[image.AnnotationName])
	if name == "" {
		return ""
	}
	ref, err := image.ParseReference(name)
	if err != nil {
		logrus.Warnf("the archive's name for image %s cannot be used: %v", d.Digest, err)
		return ""
	}
	return ref.String()
}

// A dockerImage is an entry of manifest.json. Config and Layers are paths in
// the tar.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerImages reads manifest.json. Despite its name it has no manifests, so we
// write them.
func (a *spool) dockerImages(text []byte) (all []archived, err error) {
	var entries []dockerImage
	if err := image.ParseJSON(text, &entries); err != nil {
		return nil, err
	}
	for _, e := range entries {
		var img archived
		if img.m, err = a.manifestOf(e); err != nil {
			return nil, err
		}
		if img.manifest, err = json.Marshal(img.m); err != nil {
			return nil, err
		}
		if len(e.RepoTags) == 0 {
			e.RepoTags = []string{""}
		}
		for _, tag := range e.RepoTags {
			if img.name, err = image.FullTag(tag); err != nil {
				return nil, err
			}
			all = append(all, img)
		}
	}
	return all, nil
}

func (a *spool) manifestOf(e dockerImage) (m *v1.Manifest, err error) {
	m = &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	if m.Config, err = a.lookUp(e.Config); err != nil {
		return nil, err
	}
	m.Config.MediaType = types.OCIConfigJSON
	for _, path := range e.Layers {
		layer, err := a.lookUp(path)
		if err != nil {
			return nil, err
		}
		layer.MediaType = cmp.Or(layer.MediaType, types.OCIUncompressedLayer)
		m.Layers = append(m.Layers, layer)
	}
	return m, nil
}
