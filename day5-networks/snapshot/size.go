package snapshot

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"example.com/go-docker/day5-networks/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Size sums up the bytes of the files in an image's layers.
func Size(s *store.Store, img *store.Image) (sum int64, err error) {
	for _, diffID := range img.Config.RootFS.DiffIDs {
		size, err := LayerSize(s, diffID)
		if err != nil {
			return 0, err
		}
		sum += size
	}
	return sum, nil
}

// LayerSize sums up the bytes of the files in a layer, or returns 0 if it is
// not unpacked.
func LayerSize(s *store.Store, diffID v1.Hash) (sum int64, err error) {
	seen := map[uint64]bool{} // a file with two names counts once
	err = filepath.WalkDir(s.LayerPath(diffID), func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // rmi was faster, or it is not unpacked
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
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
