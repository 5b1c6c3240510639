package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/interrupt"
	"example.com/go-docker/day3-images/layer"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// An unpacked layer is a directory that overlayfs stacks as it is. Its name is
// the layer's diff ID, the digest of the unpacked tar: however a layer was
// compressed and wherever it came from, it is unpacked once, and shared by all
// images that have it and by all their containers.

const (
	// What one image may unpack to. A few megabytes of gzip can hold terabytes
	// of zeros.
	maxImageBytes   = 64 << 30
	maxImageEntries = 4 << 20

	// layersAtOnce is Docker's number. More do not make it faster.
	layersAtOnce = 3
)

func newQuota() *layer.Quota { return &layer.Quota{Bytes: maxImageBytes, Entries: maxImageEntries} }

func (s *store) layerPath(diffID v1.Hash) string { return s.path("layers", "sha256", diffID.Hex) }

func (s *store) hasLayer(diffID v1.Hash) bool {
	info, err := os.Lstat(s.layerPath(diffID))
	return err == nil && info.IsDir()
}

// layerDirs returns the directories of an image's layers, the lowest first. It
// unpacks what is not there; hold the image before.
func (s *store) layerDirs(ctx context.Context, img *Image) ([]string, error) {
	var dirs []string
	complete := true
	for _, diffID := range img.Config.RootFS.DiffIDs {
		dirs = append(dirs, s.layerPath(diffID))
		complete = complete && s.hasLayer(diffID)
	}
	if complete {
		return dirs, nil
	}
	if err := s.unpackImage(ctx, img.Manifest, img.Config); err != nil {
		return nil, err
	}
	return dirs, s.sync()
}

// unpackImage unpacks an image's layers from their blobs.
func (s *store) unpackImage(ctx context.Context, m *v1.Manifest, config *v1.ConfigFile) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(layersAtOnce)
	quota := newQuota()
	known, err := s.knownLayers()
	if err != nil {
		return err
	}
	for i, diffID := range config.RootFS.DiffIDs {
		if blob := m.Layers[i]; !s.hasLayer(diffID) || !known[knownLayer{blob.Digest, diffID}] {
			group.Go(func() error { return s.unpackBlob(ctx, blob, diffID, quota) })
		}
	}
	return group.Wait()
}

// A knownLayer is a blob, and what it was found to unpack to.
type knownLayer struct{ blob, diffID v1.Hash }

// knownLayers are those of all images here. That blob and layer are both there
// does not make them one: a manifest could name the blob of one layer and its
// configuration another one, and the image would not be the same to us and to
// those who get it from us.
func (s *store) knownLayers() (map[knownLayer]bool, error) {
	all, err := s.images()
	if err != nil {
		return nil, err
	}
	known := map[knownLayer]bool{}
	for _, img := range all {
		for i, blob := range img.Manifest.Layers {
			known[knownLayer{blob.Digest, img.Config.RootFS.DiffIDs[i]}] = true
		}
	}
	return known, nil
}

func (s *store) unpackBlob(ctx context.Context, blob v1.Descriptor, diffID v1.Hash, q *layer.Quota) error {
	file, err := s.openBlob(blob)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.unpack(ctx, interrupt.Reader(ctx, file), diffID, q)
}

// unpack makes a layer's directory from its tar, compressed or not. It reads r
// to its end and takes the layer in only after that, so an r that verifies
// itself has its say.
func (s *store) unpack(ctx context.Context, r io.Reader, diffID v1.Hash, q *layer.Quota) (err error) {
	j, err := s.begin(ctx, "layer-"+diffID.Hex)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.end()) }()
	if s.hasLayer(diffID) { // but is this the layer?
		err := readVerified(r, diffID, func(tar io.Reader) error {
			_, err := io.Copy(io.Discard, layer.Metered(tar, q))
			return err
		})
		if err != nil {
			return explainUnpack(err, r)
		}
		return nil
	}
	dir := j.path("layer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	err = readVerified(r, diffID, func(tar io.Reader) error { return layer.Unpack(tar, dir, q) })
	if err != nil {
		return explainUnpack(err, r)
	}
	return os.Rename(dir, s.layerPath(diffID))
}

// readVerified has read read a layer's tar to its end, and fails if it was not
// the layer that it should be.
func readVerified(r io.Reader, diffID v1.Hash, read func(tar io.Reader) error) error {
	uncompressed, err := layer.Decompress(r)
	if err != nil {
		return fmt.Errorf("layer %s: %w", diffID, err)
	}
	defer uncompressed.Close()
	tar := image.Verify(uncompressed, "unpacked layer", diffID, image.AnySize)
	if err := read(tar); err != nil {
		return fmt.Errorf("layer %s: %w", diffID, err)
	}
	// What follows the end of the compressed stream belongs to the blob too.
	_, err = io.Copy(io.Discard, r)
	return err
}

// explainUnpack finds out whether a tar does not make sense because the blob is
// not the one it should be: r verifies itself at its end.
func explainUnpack(err error, r io.Reader) error {
	if errors.Is(err, unix.ENOSPC) {
		return err
	}
	if _, errRead := io.Copy(io.Discard, r); errRead != nil {
		return errRead
	}
	return err
}
