package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"example.com/go-docker/day3-images/compression"
	"example.com/go-docker/day3-images/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"
)

// images lists the images in the archive. With index.json it is an OCI image
// layout, with manifest.json the output of docker save; if it has both,
// index.json says more.
func (a *spool) images(platform v1.Platform) ([]archived, error) {
	if text, err := a.named("index.json"); err == nil {
		index, err := image.ParseIndex(text)
		if err != nil {
			return nil, fmt.Errorf("index.json: %w", err)
		}
		return a.ociImages(index, platform)
	}
	text, err := a.named("manifest.json")
	if err != nil {
		return nil, errors.New("not an image archive: neither manifest.json nor index.json is in it (import takes the tar of a root file system)")
	}
	return a.dockerImages(text)
}

// ociImages finds the image for the platform under each name. Of the images
// without a name, it takes all that are not known to be for another platform.
func (a *spool) ociImages(index *v1.IndexManifest, platform v1.Platform) (all []archived, err error) {
	entries := slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool { return !image.MayBeImage(d) })
	groups, order := map[string][]v1.Descriptor{}, []archived{}
	missing := errors.New("there is no image in it")
	for _, d := range entries {
		name := archivedName(d)
		key := name
		if name == "" {
			key = d.Digest.String()
			if len(entries) > 1 && d.Platform != nil && image.Fit(*d.Platform, platform) == 0 {
				missing = fmt.Errorf("no image for %s: there is %s", platform, d.Platform)
				continue
			}
		}
		if groups[key] == nil {
			order = append(order, archived{name: name, key: key})
		}
		groups[key] = append(groups[key], d)
	}
	for _, img := range order {
		if group := groups[img.key]; len(group) > 1 {
			img.manifest, img.m, err = image.Choose(group, platform, a.document)
		} else if img.manifest, err = a.document(group[0]); err == nil {
			img.manifest, img.m, err = image.ChooseManifest(img.manifest, group[0].MediaType, platform, a.document)
		}
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

// archivedName returns an image's name in an OCI archive. Programs do not agree
// on where to put it, and some put only a tag there.
func archivedName(d v1.Descriptor) string {
	for _, key := range []string{image.AnnotationContainerd, image.AnnotationName} {
		if text := d.Annotations[key]; text != "" {
			ref, err := image.ParseReference(text)
			if err == nil {
				return ref.String()
			}
			logrus.Warnf("the archive's name for image %s cannot be used: %v", d.Digest, err)
		}
	}
	return ""
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
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	if len(entries) == 0 {
		return nil, errors.New("manifest.json: there is no image in it")
	}
	for _, e := range entries {
		img := archived{}
		if img.m, err = a.writeManifest(e); err != nil {
			return nil, fmt.Errorf("manifest.json: %w", err)
		}
		if img.manifest, err = json.Marshal(img.m); err != nil {
			return nil, err
		}
		if len(e.RepoTags) == 0 {
			all = append(all, img)
		}
		for _, tag := range e.RepoTags {
			ref, err := image.ParseReference(tag)
			if err != nil {
				return nil, fmt.Errorf("manifest.json: %w", err)
			}
			img.name = ref.String()
			all = append(all, img)
		}
	}
	return all, nil
}

func (a *spool) writeManifest(e dockerImage) (m *v1.Manifest, err error) {
	m = &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	if m.Config, err = a.lookUp(e.Config); err != nil {
		return nil, err
	}
	m.Config.MediaType = types.OCIConfigJSON
	for _, path := range e.Layers {
		blob, err := a.lookUp(path)
		if err != nil {
			return nil, err
		}
		if blob.MediaType, err = layerType(a.path(blob.Digest)); err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, blob)
	}
	return m, nil
}

// layerType finds out from a layer's first bytes how it is compressed.
func layerType(path string) (types.MediaType, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	start := make([]byte, 6)
	n, _ := file.Read(start) // n is 0 for an empty file, which is not compressed
	switch compression.Of(start[:n]) {
	case "gzip":
		return types.OCILayer, nil
	case "zstd":
		return types.OCILayerZStd, nil
	}
	return types.OCIUncompressedLayer, nil
}
