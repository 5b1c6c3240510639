package logfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// skipToTail leaves of the files only those that have the last lines, the
// first of them from where these begin. It reads from the end, so it takes as
// long for a log of a gigabyte as for a small one.
func (r *reader) skipToTail() error {
	missing := r.query.Tail
	for i := len(r.files) - 1; i >= 0; i-- {
		offset, found, err := lastLines(r.files[i].File, missing)
		if err == nil {
			_, err = r.files[i].Seek(offset, io.SeekStart)
		}
		if err != nil {
			return fmt.Errorf("find the last lines of the log: %w", err)
		}
		missing -= found
		if offset > 0 {
			closeAll(r.files[:i])
			r.files = r.files[i:]
			return nil
		}
	}
	return nil
}

// lastLines returns where the last n lines of a file begin, and how many of
// them there are: fewer if it begins with the first.
func lastLines(file *os.File, n int) (offset int64, found int, err error) {
	start, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	var data []byte // from start to the records that are counted
	for {
		for len(data) > 0 {
			i := bytes.LastIndexByte(data[:len(data)-1], '\n')
			if i < 0 && start > 0 && len(data) <= longestRecord {
				break
			}
			if e, _ := decode(data[i+1:]); e != nil && e.endsLine() {
				if found == n {
					return start + int64(len(data)), found, nil
				}
				found++
			}
			data = data[:i+1]
		}
		if start == 0 {
			return 0, found, nil
		}
		block := make([]byte, min(start, readSize))
		start -= int64(len(block))
		if _, err := file.ReadAt(block, start); err != nil {
			return 0, 0, err
		}
		data = append(block, data...)
	}
}
