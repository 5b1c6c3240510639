// Package snapshot keeps the unpacked layers of a store's images, as
// directories that overlayfs can stack. A layer is named by its diff ID, the
// digest of the uncompressed tar. So however it was compressed and wherever it
// came from, there is one directory of it, shared by all images that have it and
// by all their containers. Only a layer with implied directories (see package
// chain) has a directory for each chain of layers that ends with it.
//
// It grew from rung 09-image, unpacks several layers at once, and accepts no
// layer that does not match its digest.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"example.com/go-docker/day3-images/chain"
	"example.com/go-docker/day3-images/compression"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/layer"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Dirs returns the directories that overlayfs must stack for an image, lowest
// first, and unpacks those that are missing. A container or a job must keep the
// image meanwhile.
func Dirs(ctx context.Context, s *store.Store, img *store.Image) ([]string, error) {
	if slices.ContainsFunc(img.Config.RootFS.DiffIDs, func(diffID v1.Hash) bool { return !Has(s, diffID) }) {
		u, err := NewUnpacker(s)
		if err != nil {
			return nil, err
		}
		if err := u.Image(ctx, img.Manifest, img.Config); err != nil {
			return nil, err
		}
		if err := s.Sync(); err != nil {
			return nil, err
		}
	}
	return stack(ctx, s, img.Config.RootFS.DiffIDs)
}

// stack returns the directories that overlayfs must stack for unpacked layers.
// It first settles those that depend on the layers below.
func stack(ctx context.Context, s *store.Store, diffIDs []v1.Hash) (dirs []string, err error) {
	for i, diffID := range diffIDs {
		dir := s.LayerPath(diffID)
		loose, err := chain.IsLoose(dir, i == 0)
		if err == nil && loose {
			dir, err = settle(ctx, s, diffIDs[:i+1], dirs)
		}
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", diffID, err)
		}
		dirs = append(dirs, dir)
	}
	return chain.VisibleLayers(dirs)
}

// settle makes the last layer's directory for this chain, unless it exists.
func settle(ctx context.Context, s *store.Store, diffIDs []v1.Hash, below []string) (_ string, err error) {
	place := s.ChainPath(diffIDs)
	j, err := s.Begin(ctx, "chain-"+filepath.Base(place))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	if _, err := os.Lstat(place); err == nil {
		return place, nil
	}
	dir := j.Path("layer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	if err := chain.Settle(s.LayerPath(diffIDs[len(diffIDs)-1]), dir, below); err != nil {
		return "", err
	}
	if err := s.Sync(); err != nil {
		return "", err
	}
	return place, os.Rename(dir, place)
}

// Has reports whether a layer is unpacked.
func Has(s *store.Store, diffID v1.Hash) bool {
	info, err := os.Lstat(s.LayerPath(diffID))
	return err == nil && info.IsDir()
}

// An Unpacker unpacks the layers of one image, which share a quota.
type Unpacker struct {
	store *store.Store
	quota *layer.Quota
	known map[pair]bool
}

// A pair is a blob and the layer that it is known to unpack to.
type pair struct{ blob, diffID v1.Hash }

// NewUnpacker finds out from the store's images which blobs unpack to which
// layers. It is not enough that a blob and a layer both exist: a manifest could
// name the blob of one layer and its configuration the diff ID of another, and
// then we would run another image than those who get it from us.
func NewUnpacker(s *store.Store) (*Unpacker, error) {
	all, err := s.Images()
	if err != nil {
		return nil, err
	}
	u := &Unpacker{s, layer.NewQuota(), map[pair]bool{}}
	for _, img := range all {
		for i, blob := range img.Manifest.Layers {
			u.known[pair{blob.Digest, img.Config.RootFS.DiffIDs[i]}] = true
		}
	}
	return u, nil
}

// Image unpacks the missing layers of an image whose blobs are in the store.
func (u *Unpacker) Image(ctx context.Context, m *v1.Manifest, config *v1.ConfigFile) error {
	return u.Layers(ctx, config, func(ctx context.Context, i int, diffID v1.Hash) error {
		return u.Blob(ctx, m.Layers[i], diffID)
	})
}

// Layers calls unpack for an image's layers, several at a time.
func (u *Unpacker) Layers(ctx context.Context, config *v1.ConfigFile, unpack func(ctx context.Context, i int, diffID v1.Hash) error) error {
	group, atOnce := errgroup.WithContext(ctx)
	group.SetLimit(3) // Docker's number; more would not be faster
	for i, diffID := range config.RootFS.DiffIDs {
		group.Go(func() error { return unpack(atOnce, i, diffID) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	_, err := stack(ctx, u.store, config.RootFS.DiffIDs)
	return err
}

// Blob unpacks a blob of the store, unless the layer exists and is known to be
// what this blob unpacks to.
func (u *Unpacker) Blob(ctx context.Context, blob v1.Descriptor, diffID v1.Hash) error {
	if Has(u.store, diffID) && u.known[pair{blob.Digest, diffID}] {
		return nil
	}
	file, err := u.store.OpenBlob(blob)
	if err != nil {
		return err
	}
	defer file.Close()
	stop := context.AfterFunc(ctx, func() { _ = file.Close() }) // ends reading
	defer stop()
	return u.Stream(ctx, file, diffID)
}

// Stream makes a layer's directory from its tar, compressed or not. It reads r
// to its end and only then accepts the layer, so that an r that verifies itself
// can still fail.
func (u *Unpacker) Stream(ctx context.Context, r io.Reader, diffID v1.Hash) (err error) {
	j, err := u.store.Begin(ctx, "layer-"+diffID.Hex)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.End()) }()
	dir := j.Path("layer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	tar, err := compression.Decompress(r)
	if err == nil {
		err = layer.Unpack(image.Verify(tar, "unpacked layer", diffID, image.AnySize), dir, u.quota)
		tar.Close() // stops reading ahead; Unpack has already returned any error
	}
	if errors.Is(err, unix.ENOSPC) {
		return err
	}
	// Whatever follows the compressed stream is part of the blob, too. And if
	// the tar made no sense, the reason may be that it is the wrong blob.
	if _, errBlob := io.Copy(io.Discard, r); errBlob != nil {
		return errBlob
	}
	if err != nil {
		return fmt.Errorf("layer %s: %w", diffID, err)
	}
	if Has(u.store, diffID) { // from another blob
		return nil
	}
	return os.Rename(dir, u.store.LayerPath(diffID))
}

// Size sums up the bytes of the files in an image's layers.
func Size(s *store.Store, img *store.Image) (sum int64, err error) {
	for _, diffID := range img.Config.RootFS.DiffIDs {
		size, failed := LayerSize(s, diffID)
		sum, err = sum+size, errors.Join(err, failed)
	}
	return sum, err
}

// LayerSize sums up the bytes of the files in a layer, or returns 0 if it is
// not unpacked. A hostile layer can have files whose paths are longer than
// PATH_MAX, path_resolution(7); they do not count.
func LayerSize(s *store.Store, diffID v1.Hash) (sum int64, err error) {
	seen := map[uint64]bool{} // a file with two names counts once
	err = filepath.WalkDir(s.LayerPath(diffID), func(_ string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil && d.Type().IsRegular() {
			info, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENAMETOOLONG) {
			return nil // rmi was faster, or it is not unpacked; or it is too deep for a path
		}
		if err != nil || info == nil {
			return err
		}
		if stat := info.Sys().(*syscall.Stat_t); stat.Nlink < 2 || !seen[stat.Ino] {
			seen[stat.Ino] = true
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}
