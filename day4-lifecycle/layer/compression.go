package layer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds what a zstd frame may ask us to remember of its past: the
// number is the sender's to choose. RFC 8878, 3.1.1.1.2, wants at least 8 MiB.
const maxWindow = 32 << 20

// Decompress returns the tar inside a layer blob, be it gzip, zstd or plain.
// The first bytes decide, not the media type: archives of docker save name
// none. The decompressor works ahead of the reader, in a goroutine of its own;
// Close ends it, and r is not touched afterwards.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	magic, err := buffered.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}): // RFC 1952
		gz, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("decompress gzip: %w", err)
		}
		return readAhead(gz, "decompress gzip"), nil
	case IsZstd(magic):
		zs, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("decompress zstd: %w", err)
		}
		return readAhead(zs.IOReadCloser(), "decompress zstd"), nil
	case bytes.HasPrefix(magic, []byte("BZh")):
		return nil, errors.New("compressed with bzip2: only gzip, zstd and plain tar can be read, so decompress it first (bunzip2)")
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		return nil, errors.New("compressed with xz: only gzip, zstd and plain tar can be read, so decompress it first (unxz)")
	}
	return readAhead(io.NopCloser(buffered), "read"), nil
}

// IsZstd knows a frame and, because a file may begin with one, a skippable
// frame. RFC 8878, 3.1
func IsZstd(magic []byte) bool {
	return bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(magic) >= 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:4], []byte{0x2a, 0x4d, 0x18})
}

// An aheadReader reads from its source in a goroutine, a few buffers ahead of
// the one who reads from it: one processor decompresses while another one
// writes files.
type aheadReader struct {
	full  chan []byte // in order; closed at the end
	empty chan []byte // read and given back
	err   error       // why full was closed
	stop  chan struct{}

	buffer, rest []byte // the buffer being read, and what is left of it
	closeOnce    sync.Once
}

const (
	aheadBuffers = 8
	aheadSize    = 128 << 10
)

func readAhead(source io.ReadCloser, doing string) io.ReadCloser {
	a := &aheadReader{
		full:  make(chan []byte, aheadBuffers),
		empty: make(chan []byte, aheadBuffers),
		stop:  make(chan struct{}),
	}
	for range aheadBuffers {
		a.empty <- make([]byte, aheadSize)
	}
	go func() {
		a.err = a.fill(source)
		if a.err != io.EOF {
			a.err = fmt.Errorf("%s: %w", doing, a.err)
		}
		source.Close() // of a decompressor: it only gives memory back
		close(a.full)
	}()
	return a
}

func (a *aheadReader) fill(source io.Reader) error {
	for {
		var buffer []byte
		select {
		case buffer = <-a.empty:
		case <-a.stop:
			return io.ErrClosedPipe
		}
		n, err := 0, error(nil)
		for n < aheadSize && err == nil {
			var more int
			more, err = source.Read(buffer[n:aheadSize])
			n += more
		}
		if n > 0 {
			a.full <- buffer[:n] // has room for all buffers there are
		}
		if err != nil {
			return err
		}
	}
}

func (a *aheadReader) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		if a.buffer != nil {
			a.empty <- a.buffer
			a.buffer = nil
		}
		buffer, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.buffer, a.rest = buffer, buffer
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// Close waits for the goroutine. What has not been read yet is lost.
func (a *aheadReader) Close() error {
	a.closeOnce.Do(func() { close(a.stop) })
	for range a.full {
	}
	a.rest = nil
	return nil
}
