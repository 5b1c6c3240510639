package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Size is that of the files in an image's layers.
func (s *Store) Size(img *Image) (sum int64, err error) {
	for _, diffID := range img.Config.RootFS.DiffIDs {
		size, err := s.LayerSize(diffID)
		if err != nil {
			return 0, err
		}
		sum += size
	}
	return sum, nil
}

func (s *Store) LayerSize(diffID v1.Hash) (sum int64, err error) {
	seen := map[uint64]bool{} // a file with two names is there once
	err = filepath.WalkDir(s.LayerPath(diffID), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // rmi was quicker, or it is not unpacked
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if inode, links := inodeOf(info); links < 2 || !seen[inode] {
			seen[inode] = true
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}

func inodeOf(info fs.FileInfo) (inode, links uint64) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 1
	}
	return stat.Ino, uint64(stat.Nlink)
}
