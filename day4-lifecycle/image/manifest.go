package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// DockerLayerZstd is buildkit's type for a zstd layer in a Docker manifest.
const DockerLayerZstd types.MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"

// MaxDocument is the maximum length of a manifest, an index or a configuration.
// They are held in memory, and come from outside.
const MaxDocument = 4 << 20

// maxLayers is overlayfs's own limit (OVL_MAX_STACK in fs/overlayfs/params.c).
const maxLayers = 500

// ParseManifest reads an image manifest. All of it comes from outside, and
// nothing else has checked it.
func ParseManifest(text []byte) (*v1.Manifest, error) {
	if _, err := checkKind(text, types.OCIManifestSchema1); err != nil {
		return nil, err
	}
	m := new(v1.Manifest)
	if err := ParseJSON(text, m); err != nil {
		return nil, fmt.Errorf("image manifest: %w", err)
	}
	if !m.Config.MediaType.IsConfig() {
		return nil, fmt.Errorf("%w: its configuration is of type %q", ErrNotImage, m.Config.MediaType)
	}
	if len(m.Layers) > maxLayers {
		return nil, fmt.Errorf("the image has %d layers: overlayfs stacks at most %d", len(m.Layers), maxLayers)
	}
	for _, d := range slices.Concat(m.Layers, []v1.Descriptor{m.Config}) {
		if err := checkDescriptor(d); err != nil {
			return nil, fmt.Errorf("image manifest: %w", err)
		}
	}
	for _, layer := range m.Layers {
		switch {
		case !layer.MediaType.IsDistributable():
			return nil, fmt.Errorf("layer %s is foreign (%s): it has to come from its vendor, and no Linux image needs one", layer.Digest, layer.MediaType)
		case !layer.MediaType.IsLayer() && layer.MediaType != DockerLayerZstd:
			return nil, fmt.Errorf("layer %s is of an unknown type: %q", layer.Digest, layer.MediaType)
		}
	}
	return m, nil
}

// maxCommas limits, roughly, how many values a document may have. Four
// megabytes of 0,0,0 as a list of layers would take hundreds of megabytes of
// memory.
const maxCommas = 1 << 17

// ParseJSON reads a document from outside, of at most MaxDocument bytes.
func ParseJSON(text []byte, into any) error {
	if n := bytes.Count(text, []byte(",")); n > maxCommas {
		return fmt.Errorf("%d commas: no image needs so many", n)
	}
	return json.Unmarshal(text, into)
}

// ParseIndex reads an image index, also known as a manifest list: the same
// image for several platforms.
func ParseIndex(text []byte) (*v1.IndexManifest, error) {
	if _, err := checkKind(text, types.OCIImageIndex); err != nil {
		return nil, err
	}
	index := new(v1.IndexManifest)
	if err := ParseJSON(text, index); err != nil {
		return nil, fmt.Errorf("image index: %w", err)
	}
	for _, d := range index.Manifests {
		if err := checkDescriptor(d); err != nil {
			return nil, fmt.Errorf("image index: %w", err)
		}
	}
	return index, nil
}

// checkKind decides from a document's content whether it is an index or a
// manifest, and refuses one that can be read as both or is not of the stated
// type. A manifest that is also an index may be one image to the program that
// verifies it and another to the one that runs it (CVE-2021-41190).
func checkKind(text []byte, stated types.MediaType) (isIndex bool, err error) {
	var d struct {
		SchemaVersion                       int
		MediaType                           types.MediaType
		Manifests, Layers, Config, FSLayers json.RawMessage
	}
	if err := ParseJSON(text, &d); err != nil {
		return false, fmt.Errorf("not a manifest: %w", err)
	}
	isImage, isIndex := d.Layers != nil || d.Config != nil, d.Manifests != nil
	switch {
	case d.SchemaVersion == 1 || d.FSLayers != nil:
		return false, errors.New("the image is in Docker's old format, schema 1, which has no verified layers: push it again with a Docker from after 2017")
	case isImage && isIndex:
		return false, errors.New("ambiguous: the document is an image manifest and an image index at once")
	case d.SchemaVersion != 2:
		return false, fmt.Errorf("unknown schema version %d", d.SchemaVersion)
	case !isImage && !isIndex:
		return false, errors.New("the document is neither an image manifest nor an image index")
	case d.MediaType != "" && (isImage && !d.MediaType.IsImage() || isIndex && !d.MediaType.IsIndex()):
		return false, fmt.Errorf("unexpected media type %q", d.MediaType)
	case stated.IsIndex() && isImage, stated.IsImage() && isIndex:
		return false, fmt.Errorf("the document is not the %q that it was announced to be", stated)
	}
	return isIndex, nil
}

func checkDescriptor(d v1.Descriptor) error {
	if d.Digest == (v1.Hash{}) {
		return errors.New("an entry without a digest")
	}
	if d.Size < 0 {
		return fmt.Errorf("%s has a size of %d", d.Digest, d.Size)
	}
	return nil
}

// ParseConfig reads the configuration that belongs to a manifest.
func ParseConfig(text []byte, m *v1.Manifest) (*v1.ConfigFile, error) {
	c := new(v1.ConfigFile)
	if err := ParseJSON(text, c); err != nil {
		return nil, fmt.Errorf("image configuration: %w", err)
	}
	if c.RootFS.Type != "layers" {
		return nil, fmt.Errorf("image configuration: rootfs is of type %q, want layers", c.RootFS.Type)
	}
	if len(c.RootFS.DiffIDs) != len(m.Layers) {
		return nil, fmt.Errorf("image configuration: %d diff IDs for %d layers", len(c.RootFS.DiffIDs), len(m.Layers))
	}
	if slices.Contains(c.RootFS.DiffIDs, v1.Hash{}) {
		return nil, errors.New("image configuration: an empty diff ID")
	}
	return c, nil
}

// ReadDocument reads a file of at most MaxDocument bytes.
func ReadDocument(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxDocument {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, MaxDocument)
	}
	return os.ReadFile(path)
}
