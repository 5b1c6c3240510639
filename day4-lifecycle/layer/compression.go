package layer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/readahead"
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
	case IsGzip(magic):
		gz, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("decompress gzip: %w", err)
		}
		return readAhead(gz, "decompress gzip")
	case IsZstd(magic):
		zs, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("decompress zstd: %w", err)
		}
		return readAhead(zs.IOReadCloser(), "decompress zstd")
	case bytes.HasPrefix(magic, []byte("BZh")):
		return nil, errors.New("compressed with bzip2: only gzip, zstd and plain tar can be read, so decompress it first (bunzip2)")
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		return nil, errors.New("compressed with xz: only gzip, zstd and plain tar can be read, so decompress it first (unxz)")
	}
	return readAhead(io.NopCloser(buffered), "read")
}

// IsGzip tells a gzip stream from its first two bytes. RFC 1952, 2.3.1
func IsGzip(magic []byte) bool { return bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) }

// IsZstd knows a frame and, because a file may begin with one, a skippable
// frame. RFC 8878, 3.1
func IsZstd(magic []byte) bool {
	return bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(magic) >= 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:4], []byte{0x2a, 0x4d, 0x18})
}

// readAhead reads from its source in a goroutine, a megabyte ahead: one
// processor decompresses while another one writes files.
func readAhead(source io.ReadCloser, doing string) (io.ReadCloser, error) {
	const buffers, size = 8, 128 << 10
	return readahead.NewReadCloserSize(named{source, doing}, buffers, size)
}

// named says in errors what was being done.
type named struct {
	io.ReadCloser
	doing string
}

func (s named) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", s.doing, err)
	}
	return n, err
}
