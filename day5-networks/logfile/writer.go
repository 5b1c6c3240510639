package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// readSize is the capacity of a pipe, pipe(7). It must be more than Longest.
const readSize = 64 << 10

// A Writer writes a container's log. Its methods may be called concurrently. It
// counts entries that cannot be written as lost, and goes on.
type Writer struct {
	path    string
	options Options
	mu      sync.Mutex
	file    *os.File
	size    int64
	lost    int    // entries lost since the last one that was written
	why     error  // why the last of them was lost
	begin   string // goes before the next record, to end a line that a crash cut short
}

// Create opens the log at path, and makes it if it is missing. Existing entries
// stay.
func Create(path string, options Options) (*Writer, error) {
	w := &Writer{path: path, options: options}
	var err error
	if w.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o640); err != nil {
		return nil, fmt.Errorf("open the container's log: %w", err)
	}
	last := []byte{'\n'}
	if w.size, err = w.file.Seek(0, io.SeekEnd); err == nil && w.size > 0 {
		_, err = w.file.ReadAt(last, w.size-1)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the end of the container's log: %w", err), w.file.Close())
	}
	if last[0] != '\n' {
		w.begin = "\n"
	}
	return w, nil
}

// Close notes what was lost, if there is now room for it, and closes the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note()
	return w.file.Close()
}

// Copy logs what it reads from r until its end. It goes on reading even if it
// cannot write: a full disk must not make the container block, or die from
// SIGPIPE.
func (w *Writer) Copy(stream string, r io.Reader) error {
	in, held, b := make([]byte, readSize), 0, new(batch)
	for {
		n, err := r.Read(in[held:])
		if n > 0 || err != nil {
			b.begin(stream)
			rest := b.add(in[:held+n], err != nil)
			held = copy(in, rest)
			w.write(b)
		}
		switch {
		case err == nil:
		case err == io.EOF, errors.Is(err, unix.EIO): // EIO: nobody has the terminal open any more
			return nil
		default:
			return fmt.Errorf("read the container's %s: %w", stream, err)
		}
	}
}

// A batch is the result of one read: the records, and where each one ends.
// However many lines it has, it takes only one write.
type batch struct {
	data []byte
	ends []int
	tail string
}

func (b *batch) begin(stream string) {
	b.data, b.ends, b.tail = b.data[:0], b.ends[:0], recordTail(stream, time.Now())
}

// add turns the lines in text into records and returns what is not a whole line
// yet.
func (b *batch) add(text []byte, last bool) (rest []byte) {
	for len(text) > 0 {
		n := bytes.IndexByte(text[:min(len(text), Longest)], '\n') + 1
		if n == 0 && len(text) >= Longest {
			n = wholeRunes(text[:Longest])
		}
		if n == 0 && !last {
			return text
		}
		if n == 0 {
			n = len(text)
		}
		b.data = appendRecord(b.data, text[:n], b.tail)
		b.ends = append(b.ends, len(b.data))
		text = text[n:]
	}
	return nil
}

// wholeRunes returns the length of text without an incomplete character at its
// end.
func wholeRunes(text []byte) int {
	for n := len(text) - 1; n >= len(text)-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) && !utf8.FullRune(text[n:]) {
			return n
		}
	}
	return len(text)
}

// write appends the records, and starts a new file when the next one would make
// this one too large. A single record is never too large for an empty file.
func (w *Writer) write(b *batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note()
	for from := 0; from < len(b.ends); {
		begin, to := 0, len(b.ends)
		if from > 0 {
			begin = b.ends[from-1]
		}
		for to > from+1 && !w.fits(b.ends[to-1]-begin) {
			to--
		}
		if w.size > 0 && !w.fits(b.ends[to-1]-begin) {
			if err := w.rotate(); err != nil {
				w.lost, w.why = w.lost+len(b.ends)-from, err
				return
			}
			continue
		}
		written, err := w.append(b.data[begin:b.ends[to-1]])
		if err != nil {
			whole := from
			for whole < to && b.ends[whole] <= begin+written {
				whole++
			}
			w.lost, w.why = w.lost+len(b.ends)-whole, err
			return
		}
		from = to
	}
}

func (w *Writer) fits(more int) bool {
	return w.options.MaxSize <= 0 || w.size+int64(more) <= w.options.MaxSize
}

// append writes only whole records: if not all of them fit, it cuts off the one
// that was written in part, and returns the length of those before it.
func (w *Writer) append(data []byte) (written int, err error) {
	if w.begin != "" {
		data = append([]byte(w.begin), data...)
	}
	n, err := w.file.Write(data)
	if err != nil {
		n = bytes.LastIndexByte(data[:n], '\n') + 1
		if cut := w.file.Truncate(w.size + int64(n)); cut != nil {
			w.begin = "\n"
			return 0, errors.Join(err, cut)
		}
	}
	w.size += int64(n)
	if n == 0 {
		return 0, err
	}
	n, w.begin = n-len(w.begin), ""
	return n, err
}

// note logs how many entries were lost, and why.
func (w *Writer) note() {
	if w.lost == 0 {
		return
	}
	cause := w.why
	for inner := errors.Unwrap(cause); inner != nil; inner = errors.Unwrap(cause) {
		cause = inner
	}
	tail := recordTail("stderr", time.Now())
	tail = fmt.Sprintf(`","lost":%d,"why":"%s%s`, w.lost, appendEscaped(nil, []byte(cause.Error())), tail)
	record := appendRecord(nil, nil, tail)
	if w.size > 0 && !w.fits(len(record)) && w.rotate() != nil {
		return
	}
	if _, err := w.append(record); err == nil {
		w.lost = 0
	}
}
