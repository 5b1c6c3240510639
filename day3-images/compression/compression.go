// Package compression finds the tar inside a layer or an archive, whether it is
// gzip, zstd or uncompressed.
//
// It grew from rung 08-whiteouts and adds zstd, a bound on its memory, and
// decompression in parallel with the reader.
package compression

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

// maxWindow bounds how much decompressed data a zstd frame may make us keep in
// memory, because the sender chooses the number. RFC 8878, 3.1.1.1.2, wants at
// least 8 MiB.
const maxWindow = 32 << 20

// Of finds out from the first six bytes how something is compressed: gzip,
// zstd, bzip2, xz, or "" for not at all.
func Of(start []byte) string {
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}): // RFC 1952, 2.3.1
		return "gzip"
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878, 3.1.1
		return "zstd"
	case len(start) >= 4 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:4], []byte{0x2a, 0x4d, 0x18}):
		return "zstd" // starts with a skippable frame, 3.1.2
	case bytes.HasPrefix(start, []byte("BZh")):
		return "bzip2"
	case bytes.HasPrefix(start, []byte("\xfd7zXZ\x00")):
		return "xz"
	}
	return ""
}

// Decompress returns the tar inside r. It goes by the first bytes and not by a
// media type, because docker save's archives have none. The decompressor works
// ahead of the reader, in a goroutine of its own; Close ends it, and r is not
// used afterwards.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	start, err := buffered.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	source, doing := io.NopCloser(buffered), "read"
	switch kind := Of(start); kind {
	case "gzip":
		doing = "decompress gzip"
		all := members{new(gzip.Reader), buffered}
		source, err = all, all.next()
	case "zstd":
		doing = "decompress zstd"
		var decoder *zstd.Decoder
		decoder, err = zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err == nil {
			source = decoder.IOReadCloser()
		}
	case "":
		err = nil
	default:
		return nil, fmt.Errorf("compressed with %s: only gzip, zstd and plain tar can be read, so decompress it first", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	// A megabyte ahead, so that one processor decompresses while another writes
	// files.
	const buffers, size = 8, 128 << 10
	return readahead.NewReadCloserSize(named{source, doing}, buffers, size)
}

// named adds to errors what was being done.
type named struct {
	io.ReadCloser
	doing string
}

func (s named) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("it takes more than %d MiB of memory: compress it without zstd's --ultra and --long", maxWindow>>20)
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", s.doing, err)
	}
	return n, err
}

// members reads the members of a gzip file, one after another. Zeros may
// follow, which fill up the last block of a tape or transfer; gzip(1) ignores
// them.
type members struct {
	*gzip.Reader
	source *bufio.Reader
}

// next begins the next member, or the first.
func (m members) next() error {
	err := m.Reset(m.source)
	m.Multistream(false)
	return err
}

func (m members) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil {
		if n, err = m.Reader.Read(p); err != io.EOF {
			return n, err
		}
		for next := byte(0); next == 0; {
			if next, err = m.source.ReadByte(); err != nil {
				return n, err
			}
		}
		err = errors.Join(m.source.UnreadByte(), m.next())
	}
	return n, err
}
