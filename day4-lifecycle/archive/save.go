package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"example.com/go-docker/day4-lifecycle/commit"
	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Save writes images to a tar: an OCI image layout with one more file,
// manifest.json, as docker save has done since Docker 25. Older programs read
// that file, newer ones index.json, and both use the same blobs. Nothing is
// written until all the images are found.
func Save(s *store.Store, refs []string, w io.Writer) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	docker := []*dockerImage{}
	entries := map[string]*dockerImage{} // by image ID
	var blobs []v1.Descriptor
	for _, ref := range refs {
		img, err := s.Resolve(ref)
		if err != nil {
			return err
		}
		entry := entries[img.ID]
		if entry == nil {
			entry = &dockerImage{Config: blobName(img.Manifest.Config), Layers: []string{}}
			for _, layer := range img.Manifest.Layers {
				entry.Layers = append(entry.Layers, blobName(layer))
			}
			entries[img.ID], docker = entry, append(docker, entry)
			blobs = append(append(blobs, img.Descriptor, img.Manifest.Config), img.Manifest.Layers...)
		}
		manifest := img.Descriptor
		if r, err := image.ParseReference(ref); err == nil && slices.Contains(img.Names, r.String()) {
			manifest.Annotations = image.NameAnnotations(r.String())
			if name := image.Familiar(r.String()); r.Tag != "" && !slices.Contains(entry.RepoTags, name) {
				entry.RepoTags = append(entry.RepoTags, name)
			}
		}
		index.Manifests = append(index.Manifests, manifest)
	}
	out := tar.NewWriter(w)
	for _, d := range []struct {
		name    string
		content any
	}{
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}},
		{"index.json", index},
		{"manifest.json", docker},
	} {
		text, err := json.Marshal(d.content)
		if err != nil {
			return err
		}
		if err := addEntry(out, d.name, int64(len(text)), bytes.NewReader(text)); err != nil {
			return err
		}
	}
	if err := addBlobs(out, s, blobs); err != nil {
		return err
	}
	return out.Close()
}

func blobName(blob v1.Descriptor) string { return "blobs/sha256/" + blob.Digest.Hex }

func addBlobs(out *tar.Writer, s *store.Store, blobs []v1.Descriptor) error {
	written := map[v1.Hash]bool{}
	for _, blob := range blobs {
		if written[blob.Digest] {
			continue
		}
		written[blob.Digest] = true
		content, err := s.OpenBlob(blob)
		if err != nil {
			return err
		}
		err = addEntry(out, blobName(blob), blob.Size, content)
		content.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// addEntry adds a file without times or owners, so that the same image always
// gives the same archive.
func addEntry(out *tar.Writer, name string, size int64, content io.Reader) error {
	if err := commit.AddEntry(out, &tar.Header{Name: name, Size: size, Mode: 0o644}, content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
