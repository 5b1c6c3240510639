package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// generation returns the name of a log's file number i, 0 being the newest.
func generation(path string, i int) string {
	if i == 0 {
		return path
	}
	return fmt.Sprintf("%s.%d", path, i)
}

// rotate starts a new file. The old one moves to .1, .1 to .2 and so on, and
// the oldest is lost. If rotate fails, the log continues in the current file.
//
// The new file is made first, because that fails if the disk is full, and then
// the old files should stay as they are.
func (w *Writer) rotate() error {
	next := w.path + ".next"
	_ = os.Remove(next) // left by a crash, or a FIFO, which would soon be full
	file, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("begin a new log file: %w", err)
	}
	for i := max(w.options.MaxFile, 1) - 1; i > 0; i-- {
		err := os.Rename(generation(w.path, i-1), generation(w.path, i))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fmt.Errorf("rename the log file: %w", err), file.Close(), os.Remove(next))
		}
	}
	if err := os.Rename(next, w.path); err != nil {
		return errors.Join(fmt.Errorf("rename the new log file: %w", err), file.Close(), os.Remove(next))
	}
	_ = w.file.Close() // every write to it has already succeeded or failed
	w.file, w.size, w.begin = file, 0, ""
	return nil
}

// opened is one of a log's files that a reader has open.
type opened struct {
	*os.File
	info os.FileInfo
}

// openNewer opens the files that are newer than current, oldest first, or all
// of them if current is nil or has been removed.
//
// Files may move to higher numbers meanwhile. openNewer starts at 0, so it
// misses none of them; a file that moves may be found twice, but its inode
// gives it away. It stops after two missing numbers, because a single one may
// be missing while files move.
func openNewer(path string, current *opened) (files []*opened, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
		}
	}()
	for i, missing := 0, 0; missing < 2; i++ {
		// Without O_NONBLOCK, a FIFO would keep us waiting for a writer. fifo(7)
		file, err := os.OpenFile(generation(path, i), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		}
		if err != nil {
			return files, fmt.Errorf("open the container's log: %w", err)
		}
		missing = 0
		info, err := file.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("open the container's log: %s is not a regular file: remove it", file.Name())
		}
		if err != nil {
			return files, errors.Join(err, file.Close())
		}
		if current != nil && os.SameFile(info, current.info) {
			return files, file.Close()
		}
		if len(files) > 0 && os.SameFile(info, files[0].info) {
			_ = file.Close() // it was only read
			continue
		}
		files = append([]*opened{{file, info}}, files...)
	}
	return files, nil
}

func closeAll(files []*opened) {
	for _, f := range files {
		_ = f.Close() // it was only read
	}
}
