package layer

import (
	"bytes"
	"os"
	"testing"
)

var plenty = Quota{Bytes: 1 << 30, Entries: 1 << 20}

// unpackTo unpacks a tar into a new directory below base.
func unpackTo(t testing.TB, base string, layer []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp(base, "layer.")
	if err != nil {
		t.Fatal(err)
	}
	q := plenty
	if err := Unpack(bytes.NewReader(layer), dir, &q); err != nil {
		t.Fatal(err)
	}
	return dir
}
