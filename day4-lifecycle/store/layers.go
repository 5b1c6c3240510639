package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/interrupt"
	"example.com/go-docker/day4-lifecycle/layer"
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

	// LayersAtOnce is Docker's number. More do not make it faster.
	LayersAtOnce = 3
)

func NewQuota() *layer.Quota { return &layer.Quota{Bytes: maxImageBytes, Entries: maxImageEntries} }

func (s *Store) LayerPath(diffID v1.Hash) string { return s.Path("layers", "sha256", diffID.Hex) }

func (s *Store) HasLayer(diffID v1.Hash) bool {
	info, err := os.Lstat(s.LayerPath(diffID))
	return err == nil && info.IsDir()
}

// LayerDirs returns the directories of an image's layers, the lowest first. It
// unpacks what is not there; hold the image before.
func (s *Store) LayerDirs(ctx context.Context, img *Image) ([]string, error) {
	var dirs []string
	complete := true
	for _, diffID := range img.Config.RootFS.DiffIDs {
		dirs = append(dirs, s.LayerPath(diffID))
		complete = complete && s.HasLayer(diffID)
	}
	if complete {
		return dirs, nil
	}
	if err := s.UnpackImage(ctx, img.Manifest, img.Config); err != nil {
		return nil, err
	}
	return dirs, s.sync()
}

// UnpackImage unpacks an image's layers from their blobs.
func (s *Store) UnpackImage(ctx context.Context, m *v1.Manifest, config *v1.ConfigFile) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(LayersAtOnce)
	quota := NewQuota()
	known, err := s.KnownLayers()
	if err != nil {
		return err
	}
	for i, diffID := range config.RootFS.DiffIDs {
		if blob := m.Layers[i]; !s.HasLayer(diffID) || !known.Has(blob.Digest, diffID) {
			group.Go(func() error { return s.UnpackBlob(ctx, blob, diffID, quota) })
		}
	}
	return group.Wait()
}

// Known says which blobs were found to unpack to which layers.
type Known map[[2]v1.Hash]bool

// Has tells whether the blob was found to unpack to the layer.
func (k Known) Has(blob, diffID v1.Hash) bool { return k[[2]v1.Hash{blob, diffID}] }

// KnownLayers are those of all images here. That blob and layer are both there
// does not make them one: a manifest could name the blob of one layer and its
// configuration another one, and the image would not be the same to us and to
// those who get it from us.
func (s *Store) KnownLayers() (Known, error) {
	all, err := s.Images()
	if err != nil {
		return nil, err
	}
	known := Known{}
	for _, img := range all {
		for i, blob := range img.Manifest.Layers {
			known[[2]v1.Hash{blob.Digest, img.Config.RootFS.DiffIDs[i]}] = true
		}
	}
	return known, nil
}

func (s *Store) UnpackBlob(ctx context.Context, blob v1.Descriptor, diffID v1.Hash, q *layer.Quota) error {
	file, err := s.OpenBlob(blob)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.Unpack(ctx, interrupt.Reader(ctx, file), diffID, q)
}

// Unpack makes a layer's directory from its tar, compressed or not. It reads r
// to its end and takes the layer in only after that, so an r that verifies
// itself has its say.
func (s *Store) Unpack(ctx context.Context, r io.Reader, diffID v1.Hash, q *layer.Quota) (err error) {
	j, err := s.Begin(ctx, "layer-"+diffID.Hex)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	if s.HasLayer(diffID) { // but is this the layer?
		err := readVerified(r, diffID, func(tar io.Reader) error {
			_, err := io.Copy(io.Discard, layer.Metered(tar, q))
			return err
		})
		if err != nil {
			return explainUnpack(err, r)
		}
		return nil
	}
	dir := j.Path("layer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	err = readVerified(r, diffID, func(tar io.Reader) error { return layer.Unpack(tar, dir, q) })
	if err != nil {
		return explainUnpack(err, r)
	}
	return os.Rename(dir, s.LayerPath(diffID))
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
