package containers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
)

// A container can make more levels than we may have files open.
func TestRemoveDeepTree(t *testing.T) {
	c := &Container{ID: "x", Dir: filepath.Join(t.TempDir(), "x")}
	testkit.FewFiles(t)
	if err := os.MkdirAll(c.path("upper/"+strings.Repeat("d/", 2*testkit.Few)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
