package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// generation is the name of a log's file: 0 is the newest.
func generation(path string, i int) string {
	if i == 0 {
		return path
	}
	return fmt.Sprintf("%s.%d", path, i)
}

// rotate begins a new file. The old one moves to .1, .1 to .2 and so on; the
// oldest is gone. When it fails, the log goes on in the file that it has.
//
// The new one is made first: there is none when the disk is full, and then the
// old ones should stay what they are.
func (w *Writer) rotate() error {
	next := w.path + ".next"
	file, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND|unix.O_NOFOLLOW, 0o640)
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
	_ = w.file.Close() // every write to it has been answered already
	w.file, w.size, w.begin = file, 0, ""
	return nil
}

// opened is a log's file that a reader has open.
type opened struct {
	*os.File
	info os.FileInfo
}

// openNewer opens the files that are newer than current, the oldest first; all
// of them if current is nil or no longer there.
//
// Files move to higher numbers meanwhile. So it begins with 0: one that moves
// is met twice, which its inode tells, and none is missed. Two numbers without
// a file are the end: one may be missing while the files move.
func openNewer(path string, current *opened) (files []*opened, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
		}
	}()
	for i, missing := 0, 0; missing < 2; i++ {
		file, err := os.OpenFile(generation(path, i), os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		}
		if err != nil {
			return files, fmt.Errorf("open the container's log: %w", err)
		}
		missing = 0
		info, err := file.Stat()
		if err != nil {
			return files, errors.Join(err, file.Close())
		}
		f := &opened{file, info}
		if current != nil && os.SameFile(info, current.info) {
			return files, file.Close()
		}
		if len(files) > 0 && os.SameFile(info, files[0].info) {
			if err := file.Close(); err != nil {
				return files, err
			}
			continue
		}
		files = append([]*opened{f}, files...)
	}
	return files, nil
}

func closeAll(files []*opened) {
	for _, f := range files {
		_ = f.Close() // it was only read
	}
}
