package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	DockerArchive = "docker-archive"
	OCIArchive    = "oci-archive"
)

// An archive is an OCI image layout in a tar. With one file more, manifest.json,
// it is also what docker save writes since Docker 25: older programs read that
// file, newer ones index.json, and the blobs are the same.
type Saver struct {
	Store  *store.Store
	Format string
	index  v1.IndexManifest
	docker []dockerImage
	blobs  []v1.Descriptor
}

// A dockerImage is an entry of manifest.json. The names are paths in the tar.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Add plans an image; nothing is written before all of them are found.
func (a *Saver) Add(ref string) error {
	img, err := a.Store.Resolve(ref)
	if err != nil {
		return err
	}
	entry := dockerImage{Config: blobName(img.Manifest.Config)}
	manifest := img.Descriptor
	if r, err := image.ParseReference(ref); err == nil && slices.Contains(img.Names, r.String()) {
		manifest.Annotations = map[string]string{store.AnnotationName: r.String(), store.AnnotationContainerd: r.String()}
		if r.Tag != "" {
			entry.RepoTags = []string{image.Familiar(r.String())}
		}
	}
	a.blobs = append(a.blobs, manifest, img.Manifest.Config)
	for _, layer := range img.Manifest.Layers {
		entry.Layers = append(entry.Layers, blobName(layer))
		a.blobs = append(a.blobs, layer)
	}
	a.index.Manifests = append(a.index.Manifests, manifest)
	a.docker = append(a.docker, entry)
	return nil
}

func blobName(blob v1.Descriptor) string { return "blobs/sha256/" + blob.Digest.Hex }

func (a *Saver) Write(w io.Writer) error {
	out := tar.NewWriter(w)
	a.index.SchemaVersion, a.index.MediaType = 2, types.OCIImageIndex
	documents := []struct {
		name    string
		content any
	}{
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}},
		{"index.json", a.index},
		{"manifest.json", a.docker},
	}
	if a.Format == OCIArchive {
		documents = documents[:2]
	}
	for _, d := range documents {
		text, err := json.Marshal(d.content)
		if err != nil {
			return err
		}
		if err := addEntry(out, d.name, int64(len(text)), bytes.NewReader(text)); err != nil {
			return err
		}
	}
	written := map[v1.Hash]bool{}
	for _, blob := range a.blobs {
		if !written[blob.Digest] {
			if err := a.writeBlob(out, blob); err != nil {
				return err
			}
		}
		written[blob.Digest] = true
	}
	return out.Close()
}

func (a *Saver) writeBlob(out *tar.Writer, blob v1.Descriptor) error {
	content, err := a.Store.OpenBlob(blob)
	if err != nil {
		return err
	}
	defer content.Close()
	return addEntry(out, blobName(blob), blob.Size, content)
}

// addEntry adds a file. The same image gives the same archive: no times, no
// owners.
func addEntry(out *tar.Writer, name string, size int64, content io.Reader) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644}); err != nil {
		return err
	}
	if _, err := io.Copy(out, content); err != nil {
		return fmt.Errorf("write %s: %w", strings.TrimPrefix(name, "blobs/"), err)
	}
	return nil
}
