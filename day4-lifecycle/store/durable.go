package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Sync writes the whole store to disk before index.json refers to new blobs and
// layers: once for an image, not for each of its thousands of files. Whatever
// the kernel has not yet written is lost in a power cut, which may be a file's
// content but not its name. Blobs and layers that no image refers to are not
// trusted after a reboot.
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

// replace gives a file new content: all of it or, after a crash, none of it. It
// keeps the old file, with as much room, and writes the next content into it.
// So on a full disk, content that is not longer fits, and images can still be
// removed. The caller holds the lock.
func (s *Store) replace(name string, content []byte) error {
	path, next := s.Path(name), s.Path(name+".new")
	file, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Truncate(int64(len(content))), file.Sync(), file.Close())
	if err == nil && unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE) != nil {
		err = os.Rename(next, path) // there is no old file, or the file system cannot exchange
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if old, err := os.OpenFile(next, os.O_WRONLY, 0); err == nil {
		_ = unix.Fallocate(int(old.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, int64(len(content))) // not everywhere possible
		_ = old.Close()
	}
	// The name is in the directory, which must be written, too. fsync(2)
	dir, err := os.Open(s.Root)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// forgetUnfinished removes what unfinished pulls have left if the machine was
// booted since an image was last added, because a power cut may have damaged
// it. The caller holds the lock.
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
	if err := errors.Join(s.collect(), s.sweep()); err != nil {
		return err
	}
	return s.replace("boot", boot)
}
