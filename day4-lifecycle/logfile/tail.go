package logfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// skipToTail keeps only the files with the last lines, and starts the first
// file where those lines begin. It reads from the end, so a log of a gigabyte
// takes no longer than a small one.
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

// lastLines returns where the last n lines of a file begin and how many there
// are, which is fewer than n if the file is too short.
func lastLines(file *os.File, n int) (offset int64, found int, err error) {
	start, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	var data []byte // from start up to the records already counted
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
