package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Image layers have setuid programs: nobody else may reach them (CVE-2021-41091).
func TestStoreIsClosed(t *testing.T) {
	needRoot(t)
	// t.TempDir is itself closed to others.
	top, err := os.MkdirTemp("/tmp", "go-docker-test.")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(top + "/store")
	if err != nil {
		t.Fatal(err)
	}
	setuid := testkit.File("su", "").WithMode(0o4755)
	img, err := commit.Image(context.Background(), s, nil, testkit.WriteTar(t, setuid), func(*v1.ConfigFile) error { return nil }, "x")
	if err != nil {
		t.Fatal(err)
	}
	layer := s.LayerPath(img.Config.RootFS.DiffIDs[0])
	as := func(uid uint32, path string) error {
		cmd := exec.Command("/bin/ls", path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		return cmd.Run()
	}
	for _, path := range []string{s.Root, s.Path("blobs"), s.Path("layers/sha256"), layer, layer + "/su"} {
		if as(0, path) != nil {
			t.Errorf("%s is not there", path)
		}
		if as(65534, path) == nil {
			t.Errorf("nobody can enter %s", path)
		}
	}
	// Not even if somebody opens up the store's own directory.
	if err := os.Chmod(s.Root, 0o755); err != nil {
		t.Fatal(err)
	}
	if as(65534, layer) == nil || as(65534, s.Path("containers")) == nil {
		t.Error("nobody can enter a layer")
	}
}

// After a reboot, blobs and layers that no image refers to are removed, and the
// others are kept.
// A store's path is no pattern.
func TestStoreWithBrackets(t *testing.T) {
	needRoot(t)
	s := openTestStore(t, filepath.Join(t.TempDir(), "a[b]*"))
	img := madeImage(t, s, nil, "app:1", "app", "x")
	if err := containers.Create(s.Store, &containers.Container{ID: "box", Image: img.ID}); err != nil {
		t.Fatal(err)
	}
	if all, err := containers.List(s.Store); err != nil || len(all) != 1 {
		t.Errorf("containers: %v, %v", all, err)
	}
	refused(t, s, "in use by container box", "rmi", "app:1")
	if err := os.RemoveAll(s.Path("containers", "box")); err != nil {
		t.Fatal(err)
	}
	ok(t, s, "rmi", "app:1")
	if left := contents(t, s); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

func TestForgetUnfinished(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	if _, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t, testkit.File("a", "1")), func(*v1.ConfigFile) error { return nil }, "kept"); err != nil {
		t.Fatal(err)
	}
	want := contents(t, s)
	leave := func() {
		for _, path := range []string{"blobs/sha256/" + testkit.ADigest[7:], "layers/sha256/" + testkit.ADigest[7:] + "/x"} {
			if err := os.MkdirAll(s.Path(path), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	add := func() {
		j, err := s.BeginAdding(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := j.End(); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	add()
	if got := contents(t, s); len(got) != len(want)+2 {
		t.Errorf("in the same boot: %q", got)
	}
	if err := os.WriteFile(s.Path("boot"), []byte("another one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	add()
	if got := contents(t, s); !slices.Equal(got, want) {
		t.Errorf("after a reboot: %q, want %q", got, want)
	}
	leave()
	add()
	if got := contents(t, s); len(got) != len(want)+2 {
		t.Errorf("later in that boot: %q", got)
	}
}

// Every byte of every blob of an image is checked before it is used.
func TestDamagedBlobs(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	img, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t, testkit.File("a", "1")), func(*v1.ConfigFile) error { return nil }, "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range []v1.Descriptor{img.Descriptor, img.Manifest.Config, img.Manifest.Layers[0]} {
		path := s.BlobPath(blob.Digest)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(s.LayerPath(img.Config.RootFS.DiffIDs[0])); err != nil {
				t.Fatal(err)
			}
			used, err := s.Resolve("x")
			if err == nil {
				_, err = snapshot.Dirs(t.Context(), s.Store, used)
			}
			if err == nil || !strings.Contains(err.Error(), "is damaged") && i != 1 { // byte 1 of gzip: it then counts as a plain tar
				t.Fatalf("byte %d of blob %s changed: %v", i, blob.Digest, err)
			}
		}
		for _, bad := range [][]byte{nil, good[1:], append(bytes.Clone(good), 0)} {
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			used, err := s.Resolve("x")
			if err == nil {
				_, err = snapshot.Dirs(t.Context(), s.Store, used)
			}
			if err == nil {
				t.Fatalf("blob %s has %d bytes instead of %d: nobody noticed", blob.Digest, len(bad), len(good))
			}
		}
		// A damaged image cannot be used, but it can be removed.
		if blob.Digest == img.Descriptor.Digest {
			if err := os.WriteFile(path, good[1:], 0o600); err != nil {
				t.Fatal(err)
			}
			if got := finish(t, onStore(s, "save", "-o", s.Root+"/x.tar", "x")); got.status == 0 {
				t.Error("a damaged image was saved")
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := snapshot.Dirs(t.Context(), s.Store, img); err != nil {
		t.Errorf("all is well again: %v", err)
	}
	if err := os.WriteFile(s.BlobPath(img.Descriptor.Digest), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	ok(t, s, "rmi", "x")
	if got := contents(t, s); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// A save of damaged blobs leaves no file.
func TestSaveDamaged(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	img, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t, testkit.File("a", "1")), func(*v1.ConfigFile) error { return nil }, "x")
	if err != nil {
		t.Fatal(err)
	}
	path := s.BlobPath(img.Manifest.Layers[0].Digest)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	refused(t, s, "is damaged", "save", "-o", dir+"/x.tar", "x")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// index.json may be damaged, too.
func TestDamagedIndex(t *testing.T) {
	s := emptyStore(t)
	for _, text := range []string{"", "{", "[]", "{" + testkit.OCIManifest + "}", "{" + testkit.OCIIndex + `,"manifests":[{"digest":"sha256:../../../etc/passwd","size":1}]}`, strings.Repeat(" ", image.MaxDocument+1)} {
		if err := os.WriteFile(s.Path("index.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Images(); err == nil || !strings.Contains(err.Error(), s.Path("index.json")) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
