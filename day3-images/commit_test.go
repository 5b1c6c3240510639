package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/archive"
	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/compression"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

func TestChange(t *testing.T) {
	set := func(keys ...string) map[string]struct{} {
		m := map[string]struct{}{}
		for _, key := range keys {
			m[key] = struct{}{}
		}
		return m
	}
	base := func() v1.Config {
		return v1.Config{Cmd: []string{"old"}, Env: []string{"A=1", "AB=2"}, WorkingDir: "/srv"}
	}
	for _, test := range []struct {
		changes []string
		want    func(c *v1.Config)
	}{
		{nil, func(*v1.Config) {}},
		{[]string{`CMD ["sh", "-c", "echo 'a b'"]`}, func(c *v1.Config) { c.Cmd = []string{"sh", "-c", "echo 'a b'"} }},
		{[]string{`cmd echo $HOME`}, func(c *v1.Config) { c.Cmd = []string{"/bin/sh", "-c", "echo $HOME"} }},
		{[]string{`CMD []`}, func(c *v1.Config) { c.Cmd = []string{} }},
		{[]string{`ENTRYPOINT ["a"]`}, func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{"a"}, nil }},
		{[]string{`ENTRYPOINT ["a"]`, `CMD ["b"]`}, func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{"a"}, []string{"b"} }},
		{[]string{`CMD ["b"]`, `ENTRYPOINT ["a"]`}, func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{"a"}, []string{"b"} }},
		{[]string{`ENV A=x B="two words" C=a\ b D='"'`}, func(c *v1.Config) { c.Env = []string{"A=x", "AB=2", "B=two words", "C=a b", `D="`} }},
		{[]string{`ENV B=`}, func(c *v1.Config) { c.Env = append(c.Env, "B=") }},
		{[]string{`LABEL a=b c=d`}, func(c *v1.Config) { c.Labels = map[string]string{"a": "b", "c": "d"} }},
		{[]string{`WORKDIR /a/../b`}, func(c *v1.Config) { c.WorkingDir = "/b" }},
		{[]string{`WORKDIR a`, `WORKDIR b`}, func(c *v1.Config) { c.WorkingDir = "/srv/a/b" }},
		{[]string{`USER me:us`}, func(c *v1.Config) { c.User = "me:us" }},
		{[]string{`EXPOSE 80 53/udp 443/TCP`}, func(c *v1.Config) { c.ExposedPorts = set("80", "53/udp", "443/TCP") }},
		{[]string{`VOLUME ["/a b"]`, `VOLUME /c /d`}, func(c *v1.Config) { c.Volumes = set("/a b", "/c", "/d") }},
	} {
		got, want := base(), base()
		if err := commit.Change(&got, test.changes); err != nil {
			t.Errorf("%q: %v", test.changes, err)
			continue
		}
		test.want(&want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", test.changes, got, want)
		}
	}
	for change, want := range map[string]string{
		"EXPOSE 99999999": "not a port", "EXPOSE 0": "not a port", "EXPOSE 80 x": "not a port", "EXPOSE 90-80": "not a port", "EXPOSE 80/icmp": "not a port", "USER a b c": "want one user",
		"": "want an instruction", "CMD": "want an instruction", "RUN x": "unknown instruction", "FROM x": "unknown instruction",
		`ENV A="x`: "Unterminated", `ENV A=1 B`: "not NAME=VALUE", `ENV A 1`: "not NAME=VALUE", `ENV =1`: "not NAME=VALUE", `LABEL a='`: "Unterminated", `ENV A=\`: "Unterminated",
	} {
		if err := commit.Change(new(v1.Config), []string{change}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", change, err, want)
		}
	}
}

func FuzzChange(f *testing.F) {
	f.Add(`CMD ["a"]`)
	f.Add(`ENV A="b c" D=\e`)
	f.Fuzz(func(t *testing.T, text string) {
		var c v1.Config
		if commit.Change(&c, []string{text}) != nil {
			return
		}
		for _, e := range c.Env {
			if !strings.Contains(e, "=") || strings.HasPrefix(e, "=") {
				t.Errorf("%q sets %q", text, e)
			}
		}
		if c.WorkingDir != "" && !filepath.IsAbs(c.WorkingDir) {
			t.Errorf("%q: directory %q", text, c.WorkingDir)
		}
	})
}

// smallRoot makes a small root file system in a directory.
func smallRoot(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"bin", "etc"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/etc/motd", []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("motd", dir+"/etc/link"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImport(t *testing.T) {
	needRoot(t)
	dir := smallRoot(t)
	plain := testkit.ToolOutput(t, "tar", "-C", dir, "-c", ".")
	files := t.TempDir()
	for name, content := range map[string][]byte{"root.tar": plain, "root.tar.gz": testkit.Gzipped(t, plain), "root.tar.zst": testkit.Zstded(t, plain)} {
		if err := os.WriteFile(filepath.Join(files, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var diffIDs []v1.Hash
	for _, source := range []string{dir, files + "/root.tar", files + "/root.tar.gz", files + "/root.tar.zst", "-"} {
		s := emptyStore(t)
		cmd := onStore(s, "import", "-m", "first", "-c", `CMD ["/bin/sh"]`, "-c", "ENV A=1", "--platform", "linux/arm64/v8", source, "busybox")
		if source == "-" {
			cmd.Stdin = bytes.NewReader(plain)
		}
		got := finish(t, cmd)
		img, err := s.Resolve("busybox")
		if err != nil {
			t.Fatalf("%s: %+q, %v", source, got, err)
		}
		got.want(t, img.ID+"\n")
		c := img.Config
		if !slices.Equal(c.Config.Cmd, []string{"/bin/sh"}) || !slices.Equal(c.Config.Env, []string{"A=1"}) || c.Architecture != "arm64" || c.Variant != "v8" ||
			c.History[0].Comment != "first" || c.History[0].CreatedBy != "import "+source {
			t.Errorf("%s: %+v", source, c)
		}
		layer := s.LayerPath(c.RootFS.DiffIDs[0])
		if text, err := os.ReadFile(layer + "/etc/motd"); err != nil || string(text) != "hello\n" {
			t.Errorf("%s: %q, %v", source, text, err)
		}
		if source != dir {
			diffIDs = append(diffIDs, c.RootFS.DiffIDs[0])
		}
		sound(t, s)
	}
	if diffIDs = slices.Compact(diffIDs); len(diffIDs) != 1 || diffIDs[0] != image.SHA256(plain) {
		t.Errorf("the same tar has diff IDs %v", diffIDs)
	}
}

func TestImportRefuses(t *testing.T) {
	needRoot(t)
	s, dir := emptyStore(t), t.TempDir()
	for name, content := range map[string][]byte{"empty": nil, "text": testkit.Text(3000), "bad.gz": testkit.Gzipped(t, testkit.Text(3000))[:500], "out": testkit.Tar(t, testkit.File("../x", ""))} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for want, args := range map[string][]string{
		"requires a file":        {},
		"at most":                {dir + "/text", "a", "b"},
		"no such file":           {dir + "/missing"},
		"it is empty":            {dir + "/empty"},
		"not a tar":              {dir + "/text"},
		"unexpected EOF":         {dir + "/bad.gz"},
		"..":                     {dir + "/out"},
		"lowercase":              {dir + "/text", "X"},
		"invalid --change":       {"-c", "RUN x", dir + "/text"},
		"invalid --platform":     {"--platform", "x", dir + "/text"},
		"flag provided but not ": {"--unknown"},
	} {
		got := finish(t, onStore(s, append([]string{"import"}, args...)...))
		if got.status != container.RuntimeError || got.stdout != "" || !strings.Contains(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%q: %+q, want one line about %q", args, got, want)
		}
		if index, err := s.index(); err != nil || len(index.Manifests) > 0 {
			t.Errorf("%q: in the index: %+v, %v", args, index, err)
		}
		sound(t, s)
	}
}

// endedContainer makes a container directory as run would leave it: one file is
// added, one changed, one deleted, and a directory replaced.
func endedContainer(t testing.TB, s testStore, img *store.Image, id, name string) *containers.Container {
	t.Helper()
	dirs, err := snapshot.Dirs(t.Context(), s.Store, img)
	if err != nil {
		t.Fatal(err)
	}
	c := &containers.Container{ID: id, Name: name, Image: img.ID, Args: []string{"sh", "-c", "change it"}, Dir: s.Path("containers", id)}
	for _, dir := range []string{"upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "container.json"), asJSON(t, c), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `set -e
		mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/merged"
		cd "$2/merged"
		echo new >new; echo changed >etc/motd; rm -f etc/link; rm -r bin; mkdir bin; echo x >bin/x`
	slices.Reverse(dirs)
	cmd := exec.Command("unshare", "-m", "sh", "-c", script, "sh", strings.Join(dirs, ":"), c.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return c
}

func TestCommit(t *testing.T) {
	needRoot(t)
	s, dir := emptyStore(t), smallRoot(t)
	if err := os.WriteFile(dir+"/bin/old", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	ok(t, s, "import", "-c", `CMD ["/bin/old"]`, "-c", "ENV A=1", dir, "base")
	base, err := s.Resolve("base")
	if err != nil {
		t.Fatal(err)
	}
	const id = "00aa11bb22cc"
	endedContainer(t, s, base, id, "box")
	got := ok(t, s, "commit", "-m", "why", "-a", "me", "-c", "ENV B=2", "box", "app:2")
	img, err := s.Resolve("app:2")
	if err != nil || got != img.ID+"\n" {
		t.Fatalf("printed %q: %v", got, err)
	}
	c := img.Config
	if !slices.Equal(c.Config.Cmd, []string{"/bin/old"}) || !slices.Equal(c.Config.Env, []string{"A=1", "B=2"}) || c.Author != "me" ||
		len(c.History) != 2 || c.History[1].Comment != "why" || c.History[1].Author != "me" || c.History[1].CreatedBy != "sh -c change it" {
		t.Errorf("%+v", c)
	}
	layer := tarTypes(t, s, img.Manifest.Layers[1])
	for name, want := range map[string]byte{"new": tar.TypeReg, "etc/motd": tar.TypeReg, "etc/.wh.link": tar.TypeReg, "bin/x": tar.TypeReg, "bin/.wh..wh..opq": tar.TypeReg} {
		if layer[name] != want {
			t.Errorf("%s is not in the layer %q", name, layer)
		}
	}
	if _, there := layer["etc/link"]; there || layer["bin/old"] != 0 {
		t.Errorf("deleted, and in the layer %q", layer)
	}
	// The image without its container is the same.
	if err := os.RemoveAll(s.Path("containers", id)); err != nil {
		t.Fatal(err)
	}
	again := endedContainer(t, s, img, id, "again")
	if err := os.RemoveAll(again.Dir + "/upper"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(again.Dir+"/upper", 0o755); err != nil {
		t.Fatal(err)
	}
	whole := exported(t, s, id)
	if got := strings.Join(whole, " "); got != "bin/ bin/x etc/ etc/motd new" {
		t.Errorf("the image has %q", got)
	}
	// By ID, without a name.
	if got := ok(t, s, "commit", id[:6]); !strings.HasPrefix(got, "sha256:") {
		t.Errorf("printed %q", got)
	}
	sound(t, s)
}

// tarTypes lists what is in a layer.
func tarTypes(t testing.TB, s testStore, blob v1.Descriptor) map[string]byte {
	t.Helper()
	file, err := s.OpenBlob(blob)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := compression.Decompress(file)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	types := map[string]byte{}
	for r := tar.NewReader(plain); ; {
		header, err := r.Next()
		if err != nil {
			return types
		}
		types[strings.TrimSuffix(header.Name, "/")] = header.Typeflag
	}
}

// Somebody removes the container while its files are read. An image or a tar of
// those that are left must not pass for all of them.
func TestCommitWhileRemoving(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	ok(t, s, "import", smallRoot(t), "base")
	base, err := s.Resolve("base")
	if err != nil {
		t.Fatal(err)
	}
	begin := func(id string) (*containers.Container, func()) {
		c := endedContainer(t, s, base, id, "")
		return c, func() { // as rm does, in the same order
			if err := errors.Join(os.Remove(c.Dir+"/container.json"), os.Remove(c.Dir+"/upper/new")); err != nil {
				t.Error(err)
			}
		}
	}
	c, remove := begin("00aa11bb22cc")
	_, err = commit.Commit(t.Context(), s.Store, c, base, "x", func(*v1.ConfigFile) error { remove(); return nil })
	if err == nil || !strings.Contains(err.Error(), "no such container") {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Resolve("x"); !errors.Is(err, store.ErrNoImage) {
		t.Errorf("x: %v", err)
	}
	c, remove = begin("00aa11bb22dd")
	remove()
	if err := archive.Export(t.Context(), s.Store, c, base, io.Discard); err == nil || !strings.Contains(err.Error(), "no such container") {
		t.Errorf("commit -o: %v", err)
	}
	sound(t, s)
}

// exported lists what commit -o writes for a container.
func exported(t testing.TB, s testStore, id string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.tar")
	before := strings.Split(mountTable(t), "\n")
	ok(t, s, "commit", "-o", file, id)
	if left := minus(strings.Split(mountTable(t), "\n"), before); len(left) > 0 { // others may remove some, see kernelTest
		t.Errorf("left behind: mounts %q", left)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range namesIn(t, content) {
		if name = strings.TrimPrefix(name, "./"); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// commit in the original articles writes a tar of the whole file system.
func TestCommitToTar(t *testing.T) {
	needRoot(t)
	s := emptyStore(t)
	ok(t, s, "import", smallRoot(t), "base")
	base, err := s.Resolve("base")
	if err != nil {
		t.Fatal(err)
	}
	const id = "00aa11bb22cc"
	c := endedContainer(t, s, base, id, "box")
	if got := strings.Join(exported(t, s, "box"), " "); got != "bin/ bin/x etc/ etc/motd new" {
		t.Errorf("got %q", got)
	}
	sound(t, s)

	refused(t, s, "commit requires a container", "commit")
	refused(t, s, "no such container", "commit", "none", "x")
	refused(t, s, "leave out the name and -c, or -o", "commit", "-o", "x.tar", "box", "name")
	refused(t, s, "leave out the name and -c, or -o", "commit", "-o", "x.tar", "-c", "USER x", "box")
	refused(t, s, "commit -o /root/box/NAME.tar", "commit", "-c", "/root/box", "box")
	refused(t, s, "lowercase", "commit", "box", "Name")
	// The container's image is gone, by accident.
	if err := os.Remove(s.Path("index.json")); err != nil {
		t.Fatal(err)
	}
	refused(t, s, "no such image", "commit", "box", "x")
	if err := unix.Access(c.Dir+"/upper/new", unix.R_OK); err != nil {
		t.Error(err)
	}
}
