package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// madeImage adds an image with one file and a fixed time.
func madeImage(t testing.TB, s testStore, base *store.Image, name, file, content string) *store.Image {
	t.Helper()
	img, err := commit.Image(context.Background(), s.Store, base, testkit.WriteTar(t, testkit.File(file, content)), func(c *v1.ConfigFile) error {
		c.History[len(c.History)-1].CreatedBy = "make " + file
		c.Config.Cmd = []string{"/bin/" + file}
		return nil
	}, name)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestAddLayer(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	base := madeImage(t, s, nil, "base", "a", "1")
	img := madeImage(t, s, base, "app:2", "b", "22")
	if !slices.Equal(img.Names, []string{"docker.io/library/app:2"}) || len(img.Config.History) != 2 || len(img.Manifest.Layers) != 2 {
		t.Errorf("%+v", img)
	}
	if img.Config.OS != "linux" || img.Config.Architecture != image.HostPlatform().Architecture || time.Since(img.Config.Created.Time) > time.Hour {
		t.Errorf("%+v", img.Config)
	}
	dirs, err := snapshot.Dirs(t.Context(), s.Store, img)
	if err != nil || len(dirs) != 2 || dirs[0] != s.LayerPath(base.Config.RootFS.DiffIDs[0]) {
		t.Fatalf("%q, %v", dirs, err)
	}
	for dir, file := range map[string]string{dirs[0]: "a", dirs[1]: "b"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	// Without a name, and an error halfway.
	if img := madeImage(t, s, base, "", "c", ""); len(img.Names) != 0 {
		t.Errorf("names %q", img.Names)
	}
	before := contents(t, s)
	if _, err := commit.Image(context.Background(), s.Store, base, func(w io.Writer) error {
		fmt.Fprint(w, "half")
		return os.ErrClosed
	}, func(*v1.ConfigFile) error { return nil }, "x"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := commit.Image(context.Background(), s.Store, base, testkit.WriteTar(t, testkit.File("../x", "")), func(*v1.ConfigFile) error { return nil }, "x"); err == nil {
		t.Error("a layer that leads out was added")
	}
	for _, name := range []string{"UP", "x@" + testkit.ADigest} {
		if _, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t), func(*v1.ConfigFile) error { return nil }, name); err == nil {
			t.Errorf("an image is named %q", name)
		}
	}
	if _, err := s.Resolve("x"); err == nil {
		t.Error("half an image has a name")
	}
	for _, line := range before {
		if !slices.Contains(contents(t, s), line) {
			t.Errorf("%s is gone", line)
		}
	}
	sound(t, s)
}

// A layer on top of one of Docker's: the new manifest is entirely OCI's.
func TestAddLayerToDockerImage(t *testing.T) {
	needRoot(t)
	s, registry, p := emptyStore(t), newRegistry(t), smallImage(t)
	config, _ := p.documents(t)
	p.manifest.MediaType = types.DockerManifestSchema2
	p.manifest.Config.MediaType = types.DockerConfigJSON
	for i, mediaType := range []types.MediaType{types.DockerLayer, image.DockerLayerZstd, types.DockerUncompressedLayer} {
		p.manifest.Layers[i].MediaType = mediaType
	}
	if p.manifest.Config.Size != int64(len(config)) {
		t.Fatal("the configuration has changed")
	}
	registry.push(t, "1", p)
	ok(t, s, "pull", "-q", registry.name("1"))
	base, err := s.Resolve(registry.name("1"))
	if err != nil {
		t.Fatal(err)
	}
	img := madeImage(t, s, base, "more", "x", "")
	var got []types.MediaType
	for _, layer := range img.Manifest.Layers {
		got = append(got, layer.MediaType)
	}
	if !slices.Equal(got, []types.MediaType{types.OCILayer, types.OCILayerZStd, types.OCIUncompressedLayer, types.OCILayer}) ||
		img.Manifest.MediaType != types.OCIManifestSchema1 || img.Manifest.Config.MediaType != types.OCIConfigJSON {
		t.Errorf("%s: %q", img.Manifest.MediaType, got)
	}
	if base.Manifest.Layers[0].MediaType != types.DockerLayer {
		t.Error("the base image was changed")
	}
	sound(t, s)
}

func TestImagesAndTags(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	if got := ok(t, s, "images"); got != "REPOSITORY   TAG   IMAGE ID   CREATED   SIZE\n" {
		t.Errorf("no images: %q", got)
	}
	one := madeImage(t, s, nil, "one", "a", strings.Repeat("x", 1500))
	two := madeImage(t, s, one, "localhost:5000/two:v2", "b", strings.Repeat("x", 500))
	ok(t, s, "tag", "one", "docker.io/library/uno:1")
	ok(t, s, "tag", image.ShortID(two.ID), "me/two")
	table := ok(t, s, "images")
	for _, want := range []string{
		"one latest " + image.ShortID(one.ID), "uno 1 " + image.ShortID(one.ID), "localhost:5000/two v2 " + image.ShortID(two.ID), "me/two latest " + image.ShortID(two.ID),
	} {
		if !strings.Contains(strings.Join(strings.Fields(table), " "), want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if got := ok(t, s, "images", "-q"); got != image.ShortID(two.ID)+"\n"+image.ShortID(one.ID)+"\n" {
		t.Errorf("-q: %q", got)
	}
	if got := ok(t, s, "images", "-q", "--no-trunc", "uno"); got != one.ID+"\n" {
		t.Errorf("-q --no-trunc uno: %q", got)
	}
	if got := ok(t, s, "images", "-q", "uno:2"); got != "" {
		t.Errorf("-q uno:2: %q", got)
	}
	if rows := ok(t, s, "images", "--no-trunc", "me/two"); strings.Count(rows, "\n") != 2 || !strings.Contains(rows, "me/two") || !strings.Contains(rows, two.ID) || !strings.Contains(rows, "2kB") {
		t.Errorf("of one repository: %q", rows)
	}
	for want, args := range map[string][]string{
		"tag requires":      {"tag", "one"},
		"lowercase":         {"tag", "one", "Two"},
		"a digest cannot":   {"tag", "one", "two@" + testkit.ADigest},
		"no such image: no": {"tag", "no", "two"},
		"at most":           {"images", "a", "b"},
	} {
		refused(t, s, want, args...)
	}
	sound(t, s)
}

func TestResolve(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	var all []*store.Image
	for i := range 20 { // two of them start with the same digit
		all = append(all, madeImage(t, s, nil, fmt.Sprint("app:", i), "a", fmt.Sprint(i)))
	}
	byDigit := map[string]int{}
	for _, img := range all {
		byDigit[img.ID[7:8]]++
	}
	for i, img := range all {
		for _, ref := range []string{fmt.Sprint("app:", i), "docker.io/app:" + fmt.Sprint(i), img.ID, img.ID[7:], img.ID[:20], img.ID[7:20]} {
			if got, err := s.Resolve(ref); err != nil || got.ID != img.ID {
				t.Errorf("%s: %v, %v, want %s", ref, got, err, img.ID)
			}
		}
		got, err := s.Resolve(img.ID[7:8])
		if many := byDigit[img.ID[7:8]] > 1; many != (err != nil) || many && !strings.Contains(err.Error(), "more than one image") || !many && got.ID != img.ID {
			t.Errorf("%d images start with %s: %v", byDigit[img.ID[7:8]], img.ID[7:8], err)
		}
	}
	// A name goes before an ID.
	id := all[3].ID[7:12]
	named := madeImage(t, s, nil, id, "b", "")
	if got, err := s.Resolve(id); err != nil || got.ID != named.ID {
		t.Errorf("%s: %v, %v", id, got, err)
	}
	for ref, want := range map[string]string{"": "invalid", "no": "no such image: no", "app": "no such image: app", "app@" + testkit.ADigest: "no such image", "A": "lowercase", testkit.ADigest: "no such image", "../x": "invalid"} {
		if got, err := s.Resolve(ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %s", ref, got, err, want)
		}
	}
}

func TestInspectAndHistory(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	base := madeImage(t, s, nil, "base", "a", "1")
	img := madeImage(t, s, base, "app", "b", "22")
	var got []struct {
		Id, Os, Architecture string
		RepoTags             []string
		Size                 int64
		Config               struct{ Cmd []string }
		RootFS               struct{ Layers []string }
		GraphDriver          struct{ Data struct{ LowerDir string } }
	}
	if err := json.Unmarshal([]byte(ok(t, s, "inspect", "app", "base")), &got); err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	dirs, err := snapshot.Dirs(t.Context(), s.Store, img)
	if err != nil {
		t.Fatal(err)
	}
	i := got[0]
	if i.Id != img.ID || i.Os != "linux" || !slices.Equal(i.RepoTags, []string{"app:latest"}) || i.Size != 3 || !slices.Equal(i.Config.Cmd, []string{"/bin/b"}) ||
		len(i.RootFS.Layers) != 2 || i.GraphDriver.Data.LowerDir != dirs[1]+":"+dirs[0] {
		t.Errorf("%+v", i)
	}
	history := strings.Fields(ok(t, s, "history", "app"))
	if !slices.Contains(history, image.ShortID(img.ID)) || strings.Count(strings.Join(history, " "), "<missing>") != 1 {
		t.Errorf("%q", history)
	}
	if lines := strings.Split(ok(t, s, "history", "--no-trunc", "app"), "\n"); len(lines) != 4 || !strings.HasPrefix(lines[1], img.ID) || !strings.Contains(lines[1], "make b") || !strings.Contains(lines[1], " 2B ") {
		t.Errorf("%q", lines)
	}
	// Layers without history are those on top.
	_, err = commit.Image(context.Background(), s.Store, img, testkit.WriteTar(t, testkit.File("x", "four")), func(c *v1.ConfigFile) error {
		c.History = append(c.History[:1], v1.History{CreatedBy: "ENV", EmptyLayer: true})
		return nil
	}, "bare")
	if err != nil {
		t.Fatal(err)
	}
	table := strings.Split(ok(t, s, "history", "bare"), "\n")
	for i, words := range [][]string{{"IMAGE"}, {"N/A", "4B"}, {"<missing>", "N/A", "2B"}, {"<missing>", "ENV", "0B"}, {"<missing>", "make a", "1B"}, {}} {
		for _, word := range words {
			if len(table) != 6 || !strings.Contains(table[i], word) {
				t.Errorf("line %d of %q has no %s", i, table, word)
			}
		}
	}
	// Control characters in an image do not reach the terminal.
	_, err = commit.Image(context.Background(), s.Store, img, testkit.WriteTar(t, testkit.File("x", "")), func(c *v1.ConfigFile) error {
		last := &c.History[len(c.History)-1]
		last.CreatedBy, last.Comment = "\x1b]0;title\x07 "+strings.Repeat("層", 50), "two\nlines\r\u009b31m"
		return nil
	}, "evil")
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Split(ok(t, s, "history", "evil"), "\n")
	if want := "]0;title " + strings.Repeat("層", 35) + "…"; len(shown) != 5 || !strings.Contains(shown[1], want) || !strings.HasSuffix(shown[1], "two lines 31m") {
		t.Errorf("%q, want %q", shown, want)
	}
	refused(t, s, "no such image: no", "inspect", "base", "no")
	refused(t, s, "requires an image", "history")
}

// rmi removes names, and with the last one the image and what only it needs.
func TestRemoveImage(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	base := madeImage(t, s, nil, "base", "a", "1")
	app := madeImage(t, s, base, "app", "b", "2")
	ok(t, s, "tag", "app", "app:2")

	refused(t, s, "several names (app:latest, app:2)", "rmi", app.ID)
	if got := ok(t, s, "rmi", "app"); got != "Untagged: app:latest\n" {
		t.Errorf("printed %q", got)
	}
	sound(t, s)
	if got := ok(t, s, "rmi", "app:2"); got != "Untagged: app:2\nDeleted: "+app.ID+"\n" {
		t.Errorf("printed %q", got)
	}
	sound(t, s)
	if snapshot.Has(s.Store, app.Config.RootFS.DiffIDs[1]) || s.HasBlob(app.Descriptor) || s.HasBlob(app.Manifest.Layers[1]) {
		t.Error("the image's own layer is still there")
	}
	if _, err := snapshot.Dirs(t.Context(), s.Store, base); err != nil || !snapshot.Has(s.Store, base.Config.RootFS.DiffIDs[0]) {
		t.Errorf("the other image's layer is gone: %v", err)
	}
	refused(t, s, "no such image: app", "rmi", "app")
	ok(t, s, "rmi", "-f", "app")
	// A missing one does not keep the others from being removed.
	got := finish(t, onStore(s, "rmi", "app", image.ShortID(base.ID)))
	if got.status != container.RuntimeError || got.stdout != "Untagged: base:latest\nDeleted: "+base.ID+"\n" || !strings.Contains(got.stderr, "no such image: app") {
		t.Errorf("%+q", got)
	}
	if left := contents(t, s); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestRemoveImageByForce(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	img := madeImage(t, s, nil, "one", "a", "1")
	ok(t, s, "tag", "one", "two")
	if got := ok(t, s, "rmi", "-f", image.ShortID(img.ID)); got != "Untagged: one:latest\nUntagged: two:latest\nDeleted: "+img.ID+"\n" {
		t.Errorf("printed %q", got)
	}
	if left := contents(t, s); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// An image that a container needs stays, whether the container is about to
// start, running or ended.
func TestHold(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	img := madeImage(t, s, nil, "one", "a", "1")
	const id = "00aa11bb22cc"
	c := &containers.Container{ID: id, Image: img.ID}
	if err := containers.Create(s.Store, c); err != nil {
		t.Fatal(err)
	}
	before := contents(t, s)
	got := finish(t, onStore(s, "rmi", "one"))
	if got.status != container.RuntimeError || !strings.Contains(got.stderr, "image one is in use by container "+id) || !slices.Equal(before, contents(t, s)) {
		t.Errorf("%+q", got)
	}
	// With -f it only loses its name.
	if got := ok(t, s, "rmi", "-f", "one"); got != "Untagged: one:latest\n" {
		t.Errorf("printed %q", got)
	}
	if dirs, err := snapshot.Dirs(t.Context(), s.Store, img); err != nil || !snapshot.Has(s.Store, img.Config.RootFS.DiffIDs[0]) {
		t.Errorf("%q, %v", dirs, err)
	}
	if again, err := s.Resolve(img.ID); err != nil || len(again.Names) > 0 {
		t.Errorf("%+v, %v", again, err)
	}
	if got := finish(t, onStore(s, "rmi", "-f", image.ShortID(img.ID))); got.status != container.RuntimeError {
		t.Errorf("removed: %+q", got)
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	// The container has ended, and its directory still exists.
	if err := os.MkdirAll(s.Path("containers", id), 0o700); err != nil {
		t.Fatal(err)
	}
	text := asJSON(t, containers.Container{ID: id, Image: img.ID})
	if err := os.WriteFile(s.Path("containers", id, "container.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, s, "is in use by container "+id, "rmi", image.ShortID(img.ID))
	if err := os.RemoveAll(s.Path("containers", id)); err != nil {
		t.Fatal(err)
	}
	ok(t, s, "rmi", image.ShortID(img.ID))
	if left := contents(t, s); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	c = &containers.Container{ID: id, Image: img.ID}
	if err := containers.Create(s.Store, c); !errors.Is(err, store.ErrNoImage) {
		t.Errorf("a container of an image that is gone: %v", err)
	}
	if entries, err := os.ReadDir(s.Path("containers")); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// While an image is being added, nothing is collected, because its layers may
// be among those that nobody needs yet.
func TestRemoveWhileAdding(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	one := madeImage(t, s, nil, "one", "a", "1")
	j, err := s.BeginAdding(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ok(t, s, "rmi", "one")
	if !snapshot.Has(s.Store, one.Config.RootFS.DiffIDs[0]) {
		t.Error("the layer is gone")
	}
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	madeImage(t, s, nil, "two", "b", "1")
	ok(t, s, "rmi", "two")
	if left := contents(t, s); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
