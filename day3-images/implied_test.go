package main

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/compression"
	"example.com/go-docker/day3-images/internal/testkit"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// stacked adds layers to the image busybox.
func stacked(t *testing.T, s testStore, layers ...[]testkit.Entry) {
	t.Helper()
	for _, entries := range layers {
		img, err := s.Resolve("busybox")
		if err == nil {
			_, err = commit.Image(context.Background(), s.Store, img, testkit.WriteTar(t, entries...), func(*v1.ConfigFile) error { return nil }, "busybox")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

const tellModes = `stat -c "%n %a %u:%g" / /tmp /data && readlink sbin && ls bin/foo data tmp`

// In a container, directories without an entry are as in the layers below, and
// commit writes them like that.
func TestImpliedDirectories(t *testing.T) {
	needRoot(t)
	s := boxes(t, []testkit.Entry{testkit.Dir("./").WithMode(0o751), testkit.Symlink("sbin", "/bin"), testkit.Dir("data").WithMode(0o700).OwnedBy(1000, 50)})
	stacked(t, s, []testkit.Entry{testkit.File("tmp/x", ""), testkit.File("data/f", ""), testkit.File("sbin/foo", "")})
	want := "/ 751 0:0\n/tmp 1777 0:0\n/data 700 1000:50\n/bin\nbin/foo\n\ndata:\nf\n\ntmp:\nx\n"
	s.says(t, want, tellModes)
	for range 2 { // the second time, the layers' directories are gone, as if not unpacked yet
		removeLayers(t, s)
		s.says(t, want, tellModes)
	}
	if got := finish(t, s.run(t, "--name", "changed", "busybox", "touch", "tmp/y", "data/y", "sbin/y")); got.status != 0 {
		t.Fatalf("%+v", got)
	}
	ok(t, s, "commit", "changed", "busybox")
	s.says(t, strings.NewReplacer("f\n", "f\ny\n", "x\n", "x\ny\n").Replace(want), tellModes)
	img, err := s.Resolve("busybox")
	if err != nil {
		t.Fatal(err)
	}
	blob, err := s.OpenBlob(img.Manifest.Layers[3])
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	plain, err := compression.Decompress(blob)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	var all strings.Builder
	for r := tar.NewReader(plain); ; {
		hdr, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %o %d:%d\n", hdr.Name, hdr.Mode, hdr.Uid, hdr.Gid)
	}
	if got, want := all.String(), "bin/ 755 0:0\nbin/y 644 0:0\ndata/ 700 1000:50\ndata/y 644 0:0\ntmp/ 1777 0:0\ntmp/y 644 0:0\n"; got != want {
		t.Errorf("commit wrote\n%swant\n%s", got, want)
	}
	ok(t, s, "rm", "changed")
	images, err := s.Images()
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range images {
		ok(t, s, "rmi", "-f", img.ID)
	}
	if left := contents(t, s); len(left) > 0 {
		t.Errorf("rmi left %q", left)
	}
}

func removeLayers(t *testing.T, s testStore) {
	t.Helper()
	dirs, err := filepath.Glob(s.Path("layers/sha256/*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("%q, %v", dirs, err)
	}
	testkit.ToolOutput(t, "rm", append([]string{"-r"}, dirs...)...)
}

// An image may have a layer more than once, with or without others in between.
func TestSameLayerTwice(t *testing.T) {
	needRoot(t)
	s := boxes(t, nil)
	a := []testkit.Entry{testkit.Dir("d"), testkit.File("d/x", "a")}
	stacked(t, s, a, nil, nil, []testkit.Entry{testkit.Dir("d"), testkit.File("d/.wh.x", ""), testkit.File("d/y", "b")})
	s.says(t, "y\n", "ls d")
	stacked(t, s, a, nil)
	s.says(t, "x\ny\na", "ls d; cat d/x")
	// The same layer means something else each time, because it has no entry
	// for d.
	implied := []testkit.Entry{testkit.File("d/z", "z")}
	stacked(t, s, implied, []testkit.Entry{testkit.Dir("d").WithMode(0o700)}, implied, implied)
	s.says(t, "700 z", "stat -c %a d | tr '\n' ' '; cat d/z")
	saved := filepath.Join(t.TempDir(), "saved.tar")
	ok(t, s, "save", "-o", saved, "busybox")
	other := emptyStore(t)
	ok(t, other, "load", "-i", saved)
	other.says(t, "700 z", "stat -c %a d | tr '\n' ' '; cat d/z")
}
