package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/archive"
	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	"github.com/creack/pty"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ociFiles returns the files of an OCI archive with this image.
func (p *imageParts) ociFiles(t testing.TB, annotations map[string]string) map[string]string {
	config, manifest := p.documents(t)
	files := map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}
	for _, blob := range append([][]byte{config, manifest}, p.layers...) {
		files["blobs/sha256/"+image.SHA256(blob).Hex] = string(blob)
	}
	entry := v1.Descriptor{MediaType: p.manifest.MediaType, Digest: image.SHA256(manifest), Size: int64(len(manifest)), Annotations: annotations}
	files["index.json"] = string(asJSON(t, v1.IndexManifest{SchemaVersion: 2, Manifests: []v1.Descriptor{entry}}))
	return files
}

// dockerFiles are those of what docker save wrote before Docker 25.
// A dockerEntry is an entry of manifest.json.
type dockerEntry struct {
	Config           string
	RepoTags, Layers []string
}

func (p *imageParts) dockerFiles(t testing.TB, tags ...string) map[string]string {
	config, _ := p.documents(t)
	files := map[string]string{image.SHA256(config).Hex + ".json": string(config)}
	entry := dockerEntry{Config: image.SHA256(config).Hex + ".json", RepoTags: tags}
	for i, layer := range p.layers {
		name := fmt.Sprintf("%064d/layer.tar", i)
		files[name] = string(layer)
		entry.Layers = append(entry.Layers, name)
	}
	files["manifest.json"] = string(asJSON(t, []dockerEntry{entry}))
	return files
}

func tarOf(t testing.TB, files map[string]string) []byte {
	var entries []testkit.Entry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, testkit.File(name, files[name]))
	}
	return testkit.Tar(t, entries...)
}

func (s testStore) loadBytes(t testing.TB, content []byte) ([]string, error) {
	t.Helper()
	return archive.Load(t.Context(), s.Store, bytes.NewReader(content), image.HostPlatform(), true)
}

func TestLoad(t *testing.T) {
	needRoot(t)
	containerd := map[string]string{image.AnnotationContainerd: "docker.io/library/app:1", image.AnnotationName: "1"}
	for name, test := range map[string]struct {
		archive func(p *imageParts) []byte
		names   []string
	}{
		"oci": {func(p *imageParts) []byte {
			return tarOf(t, p.ociFiles(t, map[string]string{image.AnnotationName: "localhost:5000/app:1"}))
		}, []string{"localhost:5000/app:1"}},
		"oci, named as containerd does it": {func(p *imageParts) []byte { return tarOf(t, p.ociFiles(t, containerd)) }, []string{"app:1"}},
		"oci without a name":               {func(p *imageParts) []byte { return tarOf(t, p.ociFiles(t, nil)) }, nil},
		"oci with a name that is none": {func(p *imageParts) []byte {
			return tarOf(t, p.ociFiles(t, map[string]string{image.AnnotationName: "../x"}))
		}, nil},
		"oci in gzip":     {func(p *imageParts) []byte { return testkit.Gzipped(t, tarOf(t, p.ociFiles(t, containerd))) }, []string{"app:1"}},
		"docker":          {func(p *imageParts) []byte { return tarOf(t, p.dockerFiles(t, "app:1", "app:2")) }, []string{"app:1", "app:2"}},
		"docker in zstd":  {func(p *imageParts) []byte { return testkit.Zstded(t, tarOf(t, p.dockerFiles(t, "app:1"))) }, []string{"app:1"}},
		"docker, no name": {func(p *imageParts) []byte { return tarOf(t, p.dockerFiles(t)) }, nil},
		"docker, manifest.json last, ./ before names": {func(p *imageParts) []byte {
			files := p.dockerFiles(t, "app:1")
			var entries []testkit.Entry
			for _, name := range slices.Backward(slices.Sorted(maps.Keys(files))) {
				entries = append(entries, testkit.File("./"+name, files[name]))
			}
			slices.SortFunc(entries, func(a, b testkit.Entry) int { return strings.Compare(a.Name, b.Name) })
			return testkit.Tar(t, entries...)
		}, []string{"app:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := emptyStore(t), smallImage(t)
			done, err := s.loadBytes(t, test.archive(p))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, name := range test.names {
				want = append(want, "Loaded image: "+name)
			}
			if want == nil {
				want = []string{"Loaded image ID: " + p.manifest.Config.Digest.String()}
			}
			if !slices.Equal(done, want) {
				t.Errorf("loaded %q, want %q", done, want)
			}
			for _, ref := range append(test.names, p.manifest.Config.Digest.String()) {
				if img, err := s.Resolve(ref); err != nil || !slices.Equal(img.Config.RootFS.DiffIDs, p.config.RootFS.DiffIDs) {
					t.Errorf("%s: %+v, %v", ref, img, err)
				}
			}
			sound(t, s)
		})
	}
}

// A docker archive does not say how its layers are compressed.
func TestLoadLayerTypes(t *testing.T) {
	needRoot(t)
	noise := make([]byte, 200_000) // large, however compressed
	_, _ = rand.Read(noise)
	layer := func(name string) []byte { return testkit.Tar(t, testkit.File(name, string(noise))) }
	s, p := emptyStore(t), makeImage(t, testkit.Gzipped(t, layer("gzip")), testkit.Zstded(t, layer("zstd")), layer("tar"), testkit.Gzipped(t, testkit.Tar(t)))
	if _, err := s.loadBytes(t, tarOf(t, p.dockerFiles(t, "app:1"))); err != nil {
		t.Fatal(err)
	}
	img, err := s.Resolve("app:1")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(img.Manifest.Layers, p.manifest.Layers) {
		t.Errorf("layers %+v, want %+v", img.Manifest.Layers, p.manifest.Layers)
	}
}

// docker save used to write a layer once, and links to it for other images.
func TestLoadLinks(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	base := testkit.Tar(t, testkit.File("base", "x"))
	one, two := makeImage(t, base, testkit.Tar(t, testkit.File("one", ""))), makeImage(t, base, testkit.Tar(t, testkit.File("two", "")))
	var entries []testkit.Entry
	var table []json.RawMessage
	for i, p := range []*imageParts{one, two} {
		files := p.dockerFiles(t, fmt.Sprint("app:", i))
		text := strings.ReplaceAll(files["manifest.json"], `"00`, fmt.Sprintf(`"%d0`, i))
		table = append(table, json.RawMessage(text[1:len(text)-1]))
		delete(files, "manifest.json")
		for _, name := range slices.Sorted(maps.Keys(files)) {
			e := testkit.File(strings.Replace(name, "00", fmt.Sprintf("%d0", i), 1), files[name])
			if strings.HasSuffix(name, ".json") {
				e.Name = name
			}
			if i == 1 && e.Content == string(base) {
				e = testkit.Symlink(e.Name, "../"+fmt.Sprintf("%064d/layer.tar", 0))
			}
			entries = append(entries, e)
		}
	}
	entries = append(entries, testkit.File("manifest.json", string(asJSON(t, table))))
	done, err := s.loadBytes(t, testkit.Tar(t, entries...))
	if err != nil || len(done) != 2 {
		t.Fatal(done, err)
	}
	for i, p := range []*imageParts{one, two} {
		if img, err := s.Resolve(fmt.Sprint("app:", i)); err != nil || !slices.Equal(img.Config.RootFS.DiffIDs, p.config.RootFS.DiffIDs) {
			t.Errorf("app:%d: %+v, %v", i, img, err)
		}
	}
	if layers, _ := os.ReadDir(s.Path("layers/sha256")); len(layers) != 3 {
		t.Errorf("%d layers, want the base once and two others", len(layers))
	}
	sound(t, s)
}

func TestLoadPlatform(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	files, index := map[string]string{}, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, p := range []v1.Platform{{OS: "linux", Architecture: "s390x"}, image.HostPlatform()} {
		app := makeImage(t, testkit.Tar(t, testkit.File("for", p.Architecture)))
		app.config.Architecture = p.Architecture
		maps.Copy(files, app.ociFiles(t, nil))
		_, manifest := app.documents(t)
		index.Manifests = append(index.Manifests, v1.Descriptor{Digest: image.SHA256(manifest), Size: int64(len(manifest)), Platform: &p})
	}
	list := asJSON(t, index)
	files["blobs/sha256/"+image.SHA256(list).Hex] = string(list)
	files["index.json"] = string(asJSON(t, v1.IndexManifest{SchemaVersion: 2, Manifests: []v1.Descriptor{{
		MediaType: types.OCIImageIndex, Digest: image.SHA256(list), Size: int64(len(list)), Annotations: map[string]string{image.AnnotationName: "app:1"},
	}}}))
	archive := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(archive, tarOf(t, files), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{image.HostPlatform().Architecture, "s390x"} {
		if got := ok(t, s, "load", "-i", archive, "--platform", "linux/"+arch); got != "Loaded image: app:1\n" {
			t.Errorf("printed %q", got)
		}
		if img, err := s.Resolve("app:1"); err != nil || img.Config.Architecture != arch {
			t.Errorf("for %s: %+v, %v", arch, img, err)
		}
	}
	refused(t, s, "there is linux/s390x", "load", "-i", archive, "--platform", "linux/mips")
}

func TestLoadRefuses(t *testing.T) {
	needRoot(t)
	edit := func(files map[string]string, name, from, to string) []byte {
		if !strings.Contains(files[name], from) {
			t.Fatalf("%s has no %q: %s", name, from, files[name])
		}
		files[name] = strings.Replace(files[name], from, to, 1)
		return tarOf(t, files)
	}
	blob := func(p *imageParts, i int) string { return "blobs/sha256/" + p.manifest.Layers[i].Digest.Hex }
	for name, test := range map[string]struct {
		archive func(p *imageParts) []byte
		want    string
	}{
		"nothing":      {func(p *imageParts) []byte { return nil }, "not an image archive"},
		"no tar":       {func(p *imageParts) []byte { return testkit.Text(5000) }, "read the archive"},
		"a root tar":   {func(p *imageParts) []byte { return testkit.Tar(t, testkit.File("bin/sh", "")) }, "import takes the tar"},
		"cut off":      {func(p *imageParts) []byte { return tarOf(t, p.ociFiles(t, nil))[:5000] }, "read the archive"},
		"gzip cut off": {func(p *imageParts) []byte { return testkit.Gzipped(t, tarOf(t, p.ociFiles(t, nil)))[:5000] }, "read the archive"},
		"xz":           {func(p *imageParts) []byte { return []byte("\xfd7zXZ\x00abcdefg") }, "with xz"},
		"a long name":  {func(p *imageParts) []byte { return testkit.Tar(t, testkit.File(strings.Repeat("long", 150), "")) }, "a name of 600 bytes"},
		"a long link":  {func(p *imageParts) []byte { return testkit.Tar(t, testkit.Symlink("a", strings.Repeat("n/", 300))) }, "a name of 601 bytes"},
		"a file twice": {func(p *imageParts) []byte {
			return testkit.Tar(t, testkit.File("index.json", ""), testkit.File("./index.json", ""))
		}, "twice"},
		"a changed blob": {func(p *imageParts) []byte { f := p.ociFiles(t, nil); return edit(f, blob(p, 2), "3", "4") }, "is not in the archive, or"},
		"a missing blob": {func(p *imageParts) []byte { f := p.ociFiles(t, nil); delete(f, blob(p, 1)); return tarOf(t, f) }, "is not in the archive"},
		"a wrong size": {func(p *imageParts) []byte {
			p.manifest.Layers[0].Size++
			return tarOf(t, p.ociFiles(t, nil))
		}, "is said to have"},
		"a wrong diff ID": {func(p *imageParts) []byte {
			p.config.RootFS.DiffIDs[0] = p.config.RootFS.DiffIDs[1]
			return tarOf(t, p.ociFiles(t, nil))
		}, "unpacked layer"},
		"a digest that is a path": {func(p *imageParts) []byte {
			f := p.ociFiles(t, nil)
			return edit(f, "index.json", `"digest":"sha256:`, `"digest":"sha256:../`)
		}, "index.json"},
		"an index that is a manifest": {func(p *imageParts) []byte {
			f := p.ociFiles(t, nil)
			return edit(f, "index.json", `{`, `{"layers":[],`)
		}, "ambiguous"},
		"a long index.json": {func(p *imageParts) []byte {
			f := p.ociFiles(t, nil)
			return edit(f, "index.json", `{`, `{`+strings.Repeat(" ", image.MaxDocument))
		}, "is longer than"},
		"docker: no such layer": {func(p *imageParts) []byte {
			f := p.dockerFiles(t, "app:1")
			return edit(f, "manifest.json", "/layer.tar", "/../../../etc/passwd")
		}, "not in the archive"},
		"docker: layers missing": {func(p *imageParts) []byte {
			f := p.dockerFiles(t, "app:1")
			f["manifest.json"] = `[{"Config":"` + p.manifest.Config.Digest.Hex + `.json","RepoTags":["a"],"Layers":[]}]`
			return tarOf(t, f)
		}, "3 diff IDs for 0 layers"},
		"docker: a bad name": {func(p *imageParts) []byte { return tarOf(t, p.dockerFiles(t, "App")) }, "lowercase"},
		"docker: a long manifest.json": {func(p *imageParts) []byte {
			f := p.dockerFiles(t)
			f["manifest.json"] += strings.Repeat(" ", image.MaxDocument)
			return tarOf(t, f)
		}, "is longer than"},
		"docker: no list": {func(p *imageParts) []byte {
			f := p.dockerFiles(t)
			f["manifest.json"] = "{}"
			return tarOf(t, f)
		}, "manifest.json"},
		"docker: an empty list": {func(p *imageParts) []byte {
			f := p.dockerFiles(t)
			f["manifest.json"] = "[]"
			return tarOf(t, f)
		}, "manifest.json: there is no image in it"},
		"docker: links in a circle": {func(p *imageParts) []byte {
			return testkit.Tar(t, testkit.Symlink("manifest.json", "b"), testkit.Symlink("b", "manifest.json"))
		}, "not an image archive"},
		"docker: a link out": {func(p *imageParts) []byte {
			return testkit.Tar(t, testkit.Symlink("manifest.json", "/etc/hostname"))
		}, "not an image archive"},
		"a layer that leads out": {func(p *imageParts) []byte {
			return tarOf(t, makeImage(t, testkit.Tar(t, testkit.File("../../../../../../tmp/out", ""))).ociFiles(t, nil))
		}, ".."},
	} {
		t.Run(name, func(t *testing.T) {
			s := emptyStore(t)
			archive := filepath.Join(t.TempDir(), "archive.tar")
			if err := os.WriteFile(archive, test.archive(smallImage(t)), 0o600); err != nil {
				t.Fatal(err)
			}
			got := finish(t, onStore(s, "load", "-i", archive))
			if got.status != container.RuntimeError || got.stdout != "" || !strings.Contains(got.stderr, test.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%+q, want status 125 and one line about %q", got, test.want)
			}
			if index, err := s.index(); err != nil || len(index.Manifests) > 0 {
				t.Errorf("in the index: %+v, %v", index, err)
			}
			sound(t, s)
		})
	}
}

// An archive that is a bomb hits the limit, and the disk space is freed.
func TestLoadTooManyFiles(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range 1<<16 + 1 {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.loadBytes(t, testkit.Gzipped(t, b.Bytes())); err == nil || !strings.Contains(err.Error(), "65536 files") {
		t.Errorf("got %v", err)
	}
	sound(t, s)
}

// We can load what we save, and it is the same image.
func TestSaveAndLoad(t *testing.T) {
	needRoot(t)
	from := emptyStore(t)
	if _, err := from.loadBytes(t, tarOf(t, smallImage(t).dockerFiles(t, "app:1", "localhost:5000/other:2"))); err != nil {
		t.Fatal(err)
	}
	if _, err := commit.Image(context.Background(), from.Store, nil, testkit.WriteTar(t, testkit.File("x", "")), func(*v1.ConfigFile) error { return nil }, "second"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "archive")
	ok(t, from, "save", "-o", file, "app:1", "localhost:5000/other:2", "second")
	to := emptyStore(t)
	if got := ok(t, to, "load", "-i", file); got != "Loaded image: app:1\nLoaded image: localhost:5000/other:2\nLoaded image: second:latest\n" {
		t.Errorf("load printed %q", got)
	}
	if got, want := contents(t, to), contents(t, from); !slices.Equal(got, want) {
		t.Errorf("loaded %q, want %q", got, want)
	}
	sound(t, to)

	// The same images give the same bytes, on standard output as well.
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if again := ok(t, to, "save", "app:1", "localhost:5000/other:2", "second"); again != string(first) {
		t.Error("two saves differ")
	}
	if names := namesIn(t, first); !slices.Contains(names, "manifest.json") || !slices.Contains(names, "oci-layout") {
		t.Errorf("it has %q", names)
	}
	// One image under two names is one entry.
	text := testkit.ToolOutput(t, "tar", "-xOf", file, "manifest.json")
	var entries []dockerEntry
	if err := json.Unmarshal(text, &entries); err != nil || len(entries) != 2 || !slices.Equal(entries[0].RepoTags, []string{"app:1", "localhost:5000/other:2"}) {
		t.Errorf("manifest.json: %s, %v", text, err)
	}
	// Saved by ID, it has no name.
	img, err := from.Resolve("second")
	if err != nil {
		t.Fatal(err)
	}
	ok(t, from, "save", "-o", dir+"/id", img.ID)
	to = emptyStore(t)
	if got := ok(t, to, "load", "-q", "-i", dir+"/id"); got != "" {
		t.Errorf("load -q printed %q", got)
	}
	if same, err := to.Resolve(image.ShortID(img.ID)); err != nil || len(same.Names) > 0 {
		t.Errorf("%+v, %v", same, err)
	}
}

func namesIn(t testing.TB, content []byte) (names []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func TestSaveRefuses(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	if _, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t, testkit.File("x", "")), func(*v1.ConfigFile) error { return nil }, "x"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/old", []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, s, "save requires an image", "save")
	refused(t, s, "no such image: y", "save", "-o", dir+"/old", "x", "y")
	refused(t, s, "is a directory", "save", "-o", dir, "x")
	refused(t, s, dir+"/no/x.tar: no such file", "save", "-o", dir+"/no/x.tar", "x")
	if text, err := os.ReadFile(dir + "/old"); err != nil || string(text) != "precious" {
		t.Errorf("the old file is now %q, %v", text, err)
	}
	ok(t, s, "save", "-o", "/dev/null", "x")
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Fatalf("/dev/null is now %v, %v", info, err)
	}
	ok(t, s, "save", "-o", dir+"/old", "x")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("in the directory: %v, %v", entries, err)
	}
}

// No tar goes to a terminal or is read from one.
func TestArchivesAndTerminals(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	if _, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t, testkit.File("x", "")), func(*v1.ConfigFile) error { return nil }, "x"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"save", "x"}, {"load"}, {"import", "-"}} {
		cmd := onStore(s, args...)
		master, slave, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close()
		defer slave.Close()
		cmd.Stdin, cmd.Stdout = slave, slave
		if got := finish(t, cmd); got.status != container.RuntimeError || !strings.Contains(got.stderr, "terminal") {
			t.Errorf("%q: %+q", args, got)
		}
	}
}
