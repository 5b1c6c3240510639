package archive

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"example.com/go-docker/day5-networks/commit"
	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/image"
	"example.com/go-docker/day5-networks/inroot"
	"example.com/go-docker/day5-networks/rootfs"
	"example.com/go-docker/day5-networks/snapshot"
	"example.com/go-docker/day5-networks/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/term"
)

// Save writes images to a tar: an OCI image layout with one more file,
// manifest.json, as docker save has done since Docker 25. Older programs read
// that file, newer ones index.json, and both use the same blobs. Nothing is
// written until all the images are found.
func Save(s *store.Store, refs []string, w io.Writer) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	docker := []*dockerImage{}
	blobs := map[string]v1.Descriptor{} // by name in the archive
	add := func(blob v1.Descriptor) string {
		name := "blobs/sha256/" + blob.Digest.Hex
		blobs[name] = blob
		return name
	}
	for _, ref := range refs {
		img, err := s.Resolve(ref)
		if err != nil {
			return err
		}
		add(img.Descriptor)
		entry := &dockerImage{Config: add(img.Manifest.Config), Layers: []string{}}
		for _, layer := range img.Manifest.Layers {
			entry.Layers = append(entry.Layers, add(layer))
		}
		// An image with several names is a single entry.
		if i := slices.IndexFunc(docker, func(e *dockerImage) bool { return e.Config == entry.Config }); i >= 0 {
			entry = docker[i]
		} else {
			docker = append(docker, entry)
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
	return writeImages(w, s, index, docker, blobs)
}

func writeImages(w io.Writer, s *store.Store, index v1.IndexManifest, docker []*dockerImage, blobs map[string]v1.Descriptor) error {
	out := tar.NewWriter(w)
	for _, document := range []struct {
		name    string
		content any
	}{
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}},
		{"index.json", index},
		{"manifest.json", docker},
	} {
		text, err := json.Marshal(document.content)
		if err == nil {
			err = addEntry(out, document.name, int64(len(text)), bytes.NewReader(text))
		}
		if err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(blobs)) {
		content, err := s.OpenBlob(blobs[name])
		if err != nil {
			return err
		}
		err = addEntry(out, name, blobs[name].Size, content)
		content.Close()
		if err != nil {
			return err
		}
	}
	return out.Close()
}

// addEntry adds a file without times or owners, so that the same image always
// gives the same archive.
func addEntry(out *tar.Writer, name string, size int64, content io.Reader) error {
	if err := commit.AddEntry(out, &tar.Header{Name: name, Size: size, Mode: 0o644}, content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Export writes a container's whole file system as a tar. Only overlayfs knows
// what it looks like, so we mount it once more and read that.
func Export(ctx context.Context, s *store.Store, c *containers.Container, img *store.Image, w io.Writer) (err error) {
	j, err := s.BeginAdding(ctx) // keeps the layers even if the container is removed
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	layers, err := snapshot.Dirs(ctx, s, img)
	if err != nil {
		return err
	}
	root, err := rootfs.Overlay{Layers: append(layers, filepath.Join(c.Dir, "upper")), Merged: j.Dir}.MountApart()
	if err != nil {
		return err
	}
	defer root.Close()
	err = commit.PackTree(w, inroot.FdPath(int(root.Fd())))
	_, gone := containers.Find(s, c.ID) // then files were missing
	return cmp.Or(gone, err)
}

// Write calls write to fill a file, or standard output for "" and "-". The file
// gets its name only when it is complete, so an error leaves the old file
// alone.
func Write(name string, write func(io.Writer) error) error {
	if name == "" || name == "-" {
		if term.IsTerminal(os.Stdout.Fd()) {
			return errors.New("a tar does not belong on a terminal: use -o FILE, or a pipe")
		}
		return write(os.Stdout)
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // a pipe, /dev/null
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(file), file.Close())
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".")
	if err != nil {
		return &fs.PathError{Op: "create", Path: name, Err: errors.Unwrap(err)}
	}
	err = errors.Join(write(file), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	var failed *fs.PathError
	if errors.As(err, &failed) && failed.Path == file.Name() { // a name that the user does not know
		err = &fs.PathError{Op: failed.Op, Path: name, Err: failed.Err}
	}
	return err
}
