package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/store"
	"golang.org/x/sys/unix"
)

// In a layer, paths may be longer than a system call takes: its directories were
// reached through links.
func TestLayerSizeBeyondPaths(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	diffID := image.SHA256(nil)
	if err := os.Mkdir(s.LayerPath(diffID), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.LayerPath(diffID), "short"), []byte("counts"), 0o600); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Open(s.LayerPath(diffID), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("d", 100)
	for range 2 * unix.PathMax / len(long) { // one directory can be opened, but not the file in it
		err := errors.Join(unix.Mknodat(at, strings.Repeat("f", 2*len(long)), unix.S_IFREG|0o600, 0), unix.Mkdirat(at, long, 0o700))
		below, err2 := unix.Openat(at, long, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err := errors.Join(err, err2, unix.Close(at)); err != nil {
			t.Fatal(err)
		}
		at = below
	}
	_ = unix.Close(at)
	if size, err := LayerSize(s, diffID); size != 6 || err != nil {
		t.Errorf("%d, %v", size, err)
	}
}
