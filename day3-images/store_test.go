package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// openEmpty makes a store for one test.
func openEmpty(t testing.TB) *store {
	t.Helper()
	s, err := openStore(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func nothingInProgress(t testing.TB, s *store) {
	t.Helper()
	if err := s.sweep(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(s.path("tmp")); err != nil || len(entries) > 0 {
		t.Errorf("left in tmp: %v, %v", entries, err)
	}
}

func TestOpenStore(t *testing.T) {
	s := openEmpty(t)
	for _, dir := range append(storeDirs, ".", "blobs", "layers") {
		if info, err := os.Stat(s.path(dir)); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
	if text, err := os.ReadFile(s.path("oci-layout")); err != nil || string(text) != `{"imageLayoutVersion":"1.0.0"}`+"\n" {
		t.Errorf("oci-layout: %q, %v", text, err)
	}
	// Whatever a crash left out is made the next time.
	for _, gone := range []string{"oci-layout", "tmp", "blobs/sha256", "containers"} {
		if err := errors.Join(os.RemoveAll(s.path(gone)), os.RemoveAll(s.path("oci-layout"))); err != nil {
			t.Fatal(err)
		}
		if _, err := openStore(s.root); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.path(gone)); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenStoreAtOnce(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := openStore(root); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// A directory that has other things in it is nobody's store.
func TestOpenStoreElsewhere(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(home+"/thesis.txt", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{home, home + "/thesis.txt", "/", "/proc/x"} {
		if _, err := openStore(root); err == nil {
			t.Errorf("%s became a store", root)
		}
	}
	entries, err := os.ReadDir(home)
	info, _ := os.Stat(home)
	if err != nil || len(entries) != 1 || info.Mode().Perm() != 0o755 {
		t.Errorf("now in the directory: %v, mode %v, %v", entries, info.Mode(), err)
	}
}

// Image layers have setuid programs: nobody else may reach them (CVE-2021-41091).
func TestStoreIsClosed(t *testing.T) {
	needRoot(t)
	// t.TempDir is closed itself.
	top, err := os.MkdirTemp("/tmp", "go-docker-test.")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := openStore(top + "/store")
	if err != nil {
		t.Fatal(err)
	}
	setuid := testkit.File("su", "").WithMode(0o4755)
	img, err := addLayer(context.Background(), s, nil, testkit.WriteTar(t, setuid), func(*v1.ConfigFile) {}, "x")
	if err != nil {
		t.Fatal(err)
	}
	layer := s.layerPath(img.Config.RootFS.DiffIDs[0])
	as := func(uid uint32, path string) error {
		cmd := exec.Command("/bin/ls", path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		return cmd.Run()
	}
	for _, path := range []string{s.root, s.path("blobs"), s.path("layers/sha256"), layer, layer + "/su"} {
		if as(0, path) != nil {
			t.Errorf("%s is not there", path)
		}
		if as(65534, path) == nil {
			t.Errorf("nobody can enter %s", path)
		}
	}
	// Even if somebody opens the store's own directory.
	if err := os.Chmod(s.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if as(65534, layer) == nil || as(65534, s.path("containers")) == nil {
		t.Error("nobody can enter a layer")
	}
}

// A job of the same name waits; a live one is not swept, a dead one is.
func TestJobs(t *testing.T) {
	s := openEmpty(t)
	first, err := s.begin(t.Context(), "layer-x")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first.path("half"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(s.root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first.path("half")); err != nil {
		t.Errorf("the work of a living command was swept: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*retryLock)
	defer cancel()
	if _, err := s.begin(ctx, "layer-x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two have the same job: %v", err)
	}
	began := make(chan error)
	go func() {
		second, err := s.begin(t.Context(), "layer-x")
		if err == nil {
			_, err = os.Stat(second.path("half"))
			if errors.Is(err, fs.ErrNotExist) {
				err = second.end()
			}
		}
		began <- err
	}()
	time.Sleep(2 * retryLock)
	if err := first.end(); err != nil {
		t.Error(err)
	}
	if err := <-began; err != nil {
		t.Error(err)
	}
	nothingInProgress(t, s)

	// A dead owner's job is a directory that nobody has locked.
	for _, name := range []string{"layer-x", "add-1"} {
		if err := os.MkdirAll(s.path("tmp", name, "some/thing"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	third, err := s.begin(t.Context(), "layer-x")
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(third.dir); err != nil || len(entries) > 0 {
		t.Errorf("a dead owner's work is in the new job: %v, %v", entries, err)
	}
	if names, err := s.jobs(""); err != nil || !slices.Equal(names, []string{"layer-x"}) {
		t.Errorf("jobs: %q, %v", names, err)
	}
	if err := third.end(); err != nil {
		t.Error(err)
	}
	nothingInProgress(t, s)
}

// Many goroutines, one job: never two at once, and nobody is left waiting.
func TestJobsAtOnce(t *testing.T) {
	s := openEmpty(t)
	var group sync.WaitGroup
	var inside sync.Mutex
	for range 8 {
		group.Go(func() {
			for range 10 {
				j, err := s.tryBegin("one")
				if j == nil {
					if err != nil {
						t.Error(err)
					}
					if err := s.sweep(); err != nil {
						t.Error(err)
					}
					continue
				}
				if !inside.TryLock() {
					t.Error("two have the job")
				}
				inside.Unlock()
				if err := j.end(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	nothingInProgress(t, s)
}

// After a reboot, blobs and layers that no image refers to are forgotten, and
// the others are kept.
func TestForgetUnfinished(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	if _, err := addLayer(context.Background(), s.store, nil, testkit.WriteTar(t, testkit.File("a", "1")), func(*v1.ConfigFile) {}, "kept"); err != nil {
		t.Fatal(err)
	}
	want := contents(t, s)
	leave := func() {
		for _, path := range []string{"blobs/sha256/" + testkit.ADigest[7:], "layers/sha256/" + testkit.ADigest[7:] + "/x"} {
			if err := os.MkdirAll(s.path(path), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	add := func() {
		j, err := s.beginAdding(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := j.end(); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	add()
	if got := contents(t, s); len(got) != len(want)+2 {
		t.Errorf("in the same boot: %q", got)
	}
	if err := os.WriteFile(s.path("boot"), []byte("another one\n"), 0o600); err != nil {
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

// Every byte of every blob of an image is looked at before it is used.
func TestDamagedBlobs(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	img, err := addLayer(context.Background(), s.store, nil, testkit.WriteTar(t, testkit.File("a", "1")), func(*v1.ConfigFile) {}, "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range []v1.Descriptor{img.manifest, img.Manifest.Config, img.Manifest.Layers[0]} {
		path := s.blobPath(blob.Digest)
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
			if err := os.RemoveAll(s.layerPath(img.Config.RootFS.DiffIDs[0])); err != nil {
				t.Fatal(err)
			}
			used, err := s.resolve("x")
			if err == nil {
				_, err = s.layerDirs(t.Context(), used)
			}
			if err == nil || !strings.Contains(err.Error(), "is damaged") && i != 1 { // byte 1 of gzip: then it is taken for a plain tar
				t.Fatalf("byte %d of blob %s changed: %v", i, blob.Digest, err)
			}
		}
		for _, bad := range [][]byte{nil, good[1:], append(bytes.Clone(good), 0)} {
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			used, err := s.resolve("x")
			if err == nil {
				_, err = s.layerDirs(t.Context(), used)
			}
			if err == nil {
				t.Fatalf("blob %s has %d bytes instead of %d: nobody noticed", blob.Digest, len(bad), len(good))
			}
		}
		// A damaged image cannot be used, but it can be removed.
		if blob.Digest == img.manifest.Digest {
			if err := os.WriteFile(path, good[1:], 0o600); err != nil {
				t.Fatal(err)
			}
			if got := finish(t, onStore(s, "save", "-o", s.root+"/x.tar", "x")); got.status == 0 {
				t.Error("a damaged image was saved")
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.layerDirs(t.Context(), img); err != nil {
		t.Errorf("all is well again: %v", err)
	}
	if err := os.WriteFile(s.blobPath(img.manifest.Digest), []byte("{}"), 0o600); err != nil {
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
	img, err := addLayer(context.Background(), s.store, nil, testkit.WriteTar(t, testkit.File("a", "1")), func(*v1.ConfigFile) {}, "x")
	if err != nil {
		t.Fatal(err)
	}
	path := s.blobPath(img.Manifest.Layers[0].Digest)
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

// index.json is somebody's file, too.
func TestDamagedIndex(t *testing.T) {
	s := emptyStore(t)
	for _, text := range []string{"", "{", "[]", "{" + testkit.OCIManifest + "}", "{" + testkit.OCIIndex + `,"manifests":[{"digest":"sha256:../../../etc/passwd","size":1}]}`, strings.Repeat(" ", image.MaxDocument+1)} {
		if err := os.WriteFile(s.path("index.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.images(); err == nil || !strings.Contains(err.Error(), s.path("index.json")) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
