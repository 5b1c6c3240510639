package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A power cut takes what the kernel has not yet written to the disk, and it may
// take a file's content and leave its name. So before index.json refers to
// blobs and layers, everything is written: once for an image, not for each of
// its thousands of files. And blobs and layers that no image refers to are not
// trusted after a reboot: see forgetUnfinished.

// Sync writes all of the store to the disk.
func (s *Store) Sync() error {
	dir, err := os.Open(s.Root)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("write %s to the disk: %w", s.Root, err)
	}
	return nil
}

// replaceFile gives path a new content, all of it or, after a crash, none. The
// caller holds the lock.
func replaceFile(path string, content []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	// The name is in the directory, and has to be written too. fsync(2)
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// forgetUnfinished removes, when the machine has been booted since an image was
// last added, what pulls that did not finish have left: they may have ended
// with a power cut. The caller holds the lock.
func (s *Store) forgetUnfinished() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Errorf("find out when the machine was booted: %w", err)
	}
	last, err := os.ReadFile(s.Path("boot"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(last) == string(boot) {
		return nil
	}
	rubbish, err := s.collect()
	if rubbish != nil {
		err = errors.Join(err, rubbish.End())
	}
	if err != nil {
		return err
	}
	return replaceFile(s.Path("boot"), boot)
}
