// Package durable writes files that survive a power cut. Whatever the kernel
// has not yet written to disk is then lost, which may be a file's content but
// not its name. It also reads small files, of which there may be hundreds. The
// ladder has no rung for it.
package durable

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Sync writes the whole file system that dir is in to disk.
func Sync(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Syncfs(int(file.Fd())); err != nil {
		return fmt.Errorf("write %s to the disk: %w", dir, err)
	}
	return nil
}

// Read is os.ReadFile for a small file on disk, with a third of the system
// calls: an os.File would first find out whether reads can wait, fcntl(2) and
// epoll_ctl(2), which on disk they never do. Anything unusual is left to
// os.ReadFile.
func Read(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.ReadFile(path)
	}
	defer unix.Close(fd)
	var text [4096]byte
	for size := 0; size < len(text); {
		n, err := unix.Read(fd, text[size:])
		if err != nil {
			break
		}
		if n == 0 {
			return bytes.Clone(text[:size]), nil
		}
		size += n
	}
	return os.ReadFile(path)
}

// Replace gives path new content: all of it or, after a crash, none of it. It
// keeps the old file and writes the next content into it, so that content that
// is not longer fits even on a full disk, and images can still be removed. The
// caller must hold a lock, because two calls at once would collide.
func Replace(path string, content []byte) error {
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
	// The name is in the directory, which must be written, too. fsync(2)
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// exchange swaps the new file with the old one, and reserves as much room in
// the old one.
func exchange(path string, size int64) error {
	err := unix.Renameat2(unix.AT_FDCWD, path+".new", unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) { // no old file, or a file system that cannot exchange
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
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSPC) { // no worse than before
		err = nil
	}
	return errors.Join(err, old.Close())
}
