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
// file that it was written to before stays, and the next content goes there: so
// on a full disk what is not longer still fits, and images can be removed. The
// caller holds the lock.
func replaceFile(path string, content []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Truncate(int64(len(content))), file.Sync(), file.Close())
	if err == nil {
		err = exchange(path, int64(len(content)))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// The name is in the directory, and has to be written too. fsync(2)
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// exchange puts the new file in the place of the old one, which gets room for as
// much.
func exchange(path string, size int64) error {
	err := unix.Renameat2(unix.AT_FDCWD, path+".new", unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) { // there is none, or the file system cannot
		return os.Rename(path+".new", path)
	}
	if err != nil {
		return err
	}
	old, err := os.OpenFile(path+".new", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(old.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSPC) { // then the disk was as full before
		err = nil
	}
	return errors.Join(err, old.Close())
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
	if err := errors.Join(err, discard(rubbish)); err != nil {
		return err
	}
	return replaceFile(s.Path("boot"), boot)
}
