package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/go-docker/day3-images/compression"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A testStore is a store with methods for tests.
type testStore struct{ *store.Store }

// emptyStore makes a store for one test.
func emptyStore(t testing.TB) testStore {
	t.Helper()
	return openTestStore(t, filepath.Join(t.TempDir(), "store"))
}

func openTestStore(t testing.TB, root string) testStore {
	t.Helper()
	s, err := store.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return testStore{s}
}

// index reads the store's index.json.
func (s testStore) index() (*v1.IndexManifest, error) {
	text, err := image.ReadDocument(s.Path("index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return &v1.IndexManifest{}, nil
	}
	if err != nil {
		return nil, err
	}
	return image.ParseIndex(text)
}

// onStore returns the program, working on this store. Unlike with program, the
// test may have other processes at the end.
func onStore(s testStore, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{"--root", s.Root}, args...)...)
	cmd.Env = append(os.Environ(), "GO_DOCKER_BE_PROGRAM=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// ok runs a command on the store that must succeed, and returns what it prints.
func ok(t testing.TB, s testStore, args ...string) string {
	t.Helper()
	got := finish(t, onStore(s, args...))
	if got.status != 0 {
		t.Fatalf("%q: status %d, %s", args, got.status, got.stderr)
	}
	return got.stdout
}

// refused runs a command on the store that must fail with a single line
// containing the given words, and change nothing.
func refused(t testing.TB, s testStore, want string, args ...string) {
	t.Helper()
	before := contents(t, s)
	got := finish(t, onStore(s, args...))
	if got.status != container.RuntimeError || got.stdout != "" || !strings.Contains(got.stderr, want) || strings.Count(lastLines(got.stderr), "\n") != 1 {
		t.Errorf("%q: %+q, want status 125 and one line about %q", args, got, want)
	}
	if after := contents(t, s); !slices.Equal(before, after) {
		t.Errorf("%q changed the store from %q to %q", args, before, after)
	}
}

// lastLines leaves out info messages.
func lastLines(text string) string {
	var lines string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "info: ") {
			lines += line
		}
	}
	return lines
}

// contents lists the store's images, blobs and layers, and work in progress.
func contents(t testing.TB, s testStore) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"blobs/sha256", "layers/sha256", "tmp"} {
		entries, err := os.ReadDir(s.Path(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, dir+"/"+e.Name())
		}
	}
	index, err := s.index()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range index.Manifests {
		all = append(all, d.Digest.String()+" "+d.Annotations[image.AnnotationName])
	}
	return all
}

// sound fails the test unless everything in the store is intact, image by image
// and blob by blob, and no work is in progress.
func sound(t testing.TB, s testStore) {
	t.Helper()
	if _, err := store.Open(s.Root); err != nil { // sweeps
		t.Error(err)
	}
	if entries, err := os.ReadDir(s.Path("tmp")); err != nil || len(entries) > 0 {
		t.Errorf("left in tmp: %v, %v", entries, err)
	}
	entries, err := os.ReadDir(s.Path("blobs/sha256"))
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(s.Path("blobs/sha256", e.Name()))
		if err != nil || image.SHA256(content).Hex != e.Name() {
			t.Errorf("blob %s is damaged: %v", e.Name(), err)
		}
	}
	index, err := s.index()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range index.Manifests {
		text, err := os.ReadFile(s.BlobPath(d.Digest))
		if err != nil {
			t.Error(err)
			continue
		}
		m, err := image.ParseManifest(text)
		if err != nil {
			t.Error(err)
			continue
		}
		img, err := s.Resolve(m.Config.Digest.String())
		if err != nil {
			t.Error(err)
			continue
		}
		for i, diffID := range img.Config.RootFS.DiffIDs {
			if !s.HasBlob(img.Manifest.Layers[i]) || !snapshot.Has(s.Store, diffID) {
				t.Errorf("image %v: layer %d is missing", img.Names, i)
			}
		}
	}
}

// An imageParts is an image as in a registry or an archive. A test may make it
// invalid.
type imageParts struct {
	layers   [][]byte // the blobs
	config   *v1.ConfigFile
	manifest *v1.Manifest
}

// makeImage makes an image from layers, which may be compressed.
func makeImage(t testing.TB, layers ...[]byte) *imageParts {
	t.Helper()
	p := &imageParts{
		layers: layers,
		config: &v1.ConfigFile{
			OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers"},
			Config: v1.Config{Cmd: []string{"/bin/sh"}},
		},
		manifest: &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1},
	}
	for _, blob := range layers {
		plain, err := compression.Decompress(bytes.NewReader(blob))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		p.config.RootFS.DiffIDs = append(p.config.RootFS.DiffIDs, image.SHA256(content))
		p.manifest.Layers = append(p.manifest.Layers, v1.Descriptor{MediaType: layerTypeOf(blob), Digest: image.SHA256(blob), Size: int64(len(blob))})
	}
	return p
}

func layerTypeOf(blob []byte) types.MediaType {
	switch {
	case bytes.HasPrefix(blob, []byte{0x1f, 0x8b}):
		return types.OCILayer
	case bytes.HasPrefix(blob, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return types.OCILayerZStd
	}
	return types.OCIUncompressedLayer
}

// smallImage returns an image of three layers, each compressed differently. The
// second changes a file and the third deletes one.
func smallImage(t testing.TB) *imageParts {
	return makeImage(t,
		testkit.Gzipped(t, testkit.Tar(t, testkit.Dir("etc"), testkit.File("etc/a", "1"), testkit.File("etc/b", "1"), testkit.File("big", string(testkit.Text(300_000))))),
		testkit.Zstded(t, testkit.Tar(t, testkit.File("etc/a", "2"), testkit.File("more", string(testkit.Text(50_000))))),
		testkit.Tar(t, testkit.File("etc/.wh.b", ""), testkit.File("etc/c", "3")))
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// documents returns the encoded configuration and manifest.
func (p *imageParts) documents(t testing.TB) (config, manifest []byte) {
	t.Helper()
	config = asJSON(t, p.config)
	if p.manifest.Config.Digest.Hex == "" {
		p.manifest.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: image.SHA256(config), Size: int64(len(config))}
	}
	return config, asJSON(t, p.manifest)
}

// A fakeRegistry answers like a registry, except where a fault says otherwise.
type fakeRegistry struct {
	*httptest.Server

	mu        sync.Mutex
	manifests map[string][]byte // by tag and by digest
	kinds     map[string]string // their Content-Type
	blobs     map[string][]byte // by digest
	asked     map[string]int    // how often for each path
	fault     func(w http.ResponseWriter, r *http.Request, n int) bool
}

func newRegistry(t testing.TB) *fakeRegistry {
	f := &fakeRegistry{manifests: map[string][]byte{}, kinds: map[string]string{}, blobs: map[string][]byte{}, asked: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// name returns the name of an image in this registry.
func (f *fakeRegistry) name(tag string) string {
	separator := ":"
	if strings.HasPrefix(tag, "sha256:") {
		separator = "@"
	}
	return strings.TrimPrefix(f.URL, "http://") + "/some/app" + separator + tag
}

func (f *fakeRegistry) push(t testing.TB, tag string, p *imageParts) (digest string) {
	t.Helper()
	config, manifest := p.documents(t)
	for _, blob := range append([][]byte{config}, p.layers...) {
		f.setBlob(image.SHA256(blob).String(), blob)
	}
	return f.pushManifest(tag, string(p.manifest.MediaType), manifest)
}

func (f *fakeRegistry) pushManifest(tag, kind string, text []byte) (digest string) {
	digest = image.SHA256(text).String()
	f.setManifest(tag, kind, text)
	f.setManifest(digest, kind, text)
	return digest
}

func (f *fakeRegistry) setManifest(id, kind string, text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.manifests[id], f.kinds[id] = text, kind
}

// setBlob sets what is sent for a digest; nil: nothing.
func (f *fakeRegistry) setBlob(digest string, blob []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs[digest] = blob
}

// setFault makes fault answer the nth request for a path, if it returns true.
func (f *fakeRegistry) setFault(fault func(w http.ResponseWriter, r *http.Request, n int) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked[r.URL.Path]++
	n := f.asked[r.URL.Path]
	path, id := filepath.Split(r.URL.Path)
	text, blob, kind, fault := f.manifests[id], f.blobs[id], f.kinds[id], f.fault
	f.mu.Unlock()
	if fault != nil && fault(w, r, n) {
		return
	}
	switch path {
	case "/v2/":
		return
	case "/v2/some/app/manifests/":
		if text != nil {
			w.Header().Set("Content-Type", kind)
			w.Write(text)
			return
		}
	case "/v2/some/app/blobs/":
		if blob != nil {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob))
			return
		}
	}
	http.Error(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"there is no such thing"}]}`, http.StatusNotFound)
}

// blobRequests counts the requests for an image's layers.
func (f *fakeRegistry) blobRequests(p *imageParts) (counts []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, layer := range p.manifest.Layers {
		counts = append(counts, f.asked["/v2/some/app/blobs/"+layer.Digest.String()])
	}
	return counts
}
