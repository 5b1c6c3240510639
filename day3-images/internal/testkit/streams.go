package testkit

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func Gzipped(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func Zstded(t testing.TB, plain []byte, options ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(plain, nil)
}

// Text returns n bytes that can be compressed, but not to almost nothing.
func Text(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(random.IntN(8))
	}
	return b
}

// ZeroBomb returns size zeros, compressed.
func ZeroBomb(t testing.TB, kind string, size int64) []byte {
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if kind == "zstd" {
		var err error
		if w, err = zstd.NewWriter(&b, zstd.WithWindowSize(8<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.CopyN(w, &Endless{Blocks: make([]byte, 1<<20)}, size); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// WriteTar returns a function that writes a tar of the entries, as commit.Image wants it.
func WriteTar(t testing.TB, entries ...Entry) func(io.Writer) error {
	t.Helper()
	content := Tar(t, entries...)
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

// A ReaderFunc is a reader made from a function.
type ReaderFunc func(p []byte) (int, error)

func (f ReaderFunc) Read(p []byte) (int, error) { return f(p) }

// A WriterFunc is a writer made from a function.
type WriterFunc func(p []byte) (int, error)

func (f WriterFunc) Write(p []byte) (int, error) { return f(p) }
