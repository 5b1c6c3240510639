package layer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/compression"
	"example.com/go-docker/day3-images/internal/testkit"
)

// Unpacked by us and stacked by overlayfs, an image is the same as unpacked by
// umoci.
func TestUnpackAsUmoci(t *testing.T) {
	testkit.NeedRoot(t)
	_, err := exec.LookPath("umoci")
	testkit.Need(t, err == nil, "umoci")
	for name, layers := range map[string][][]byte{
		"made up": testkit.PeerLayers(t),
		"real":    {testkit.RealLayer(t)},
	} {
		t.Run(name, func(t *testing.T) {
			layout, theirs, ours := filepath.Join(t.TempDir(), "layout"), filepath.Join(t.TempDir(), "rootfs"), t.TempDir()
			umoci := func(args ...string) { testkit.ToolOutput(t, "umoci", args...) }
			umoci("init", "--layout", layout)
			umoci("new", "--image", layout+":test")
			for i, layer := range layers {
				path := filepath.Join(ours, fmt.Sprintf("%d.tar", i))
				if err := os.WriteFile(path, layer, 0o600); err != nil {
					t.Fatal(err)
				}
				umoci("raw", "add-layer", "--image", layout+":test", path)
			}
			umoci("raw", "unpack", "--image", layout+":test", theirs)

			var dirs []string
			for i, blob := range layoutLayers(t, layout) {
				dir := filepath.Join(ours, fmt.Sprint(i))
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				unpackBlob(t, blob, dir)
				dirs = append(dirs, dir)
			}
			want := testkit.Facts(t, theirs)
			if len(want) < 200 && name != "real" || len(want) < 10 { // a guest has few files
				t.Fatalf("umoci unpacked %d files", len(want))
			}
			got := testkit.Facts(t, testkit.MountOverlay(t, "", dirs...))
			if name == "real" {
				withoutTimes(got, notInRealLayer...)
				withoutTimes(want, notInRealLayer...)
			}
			testkit.SameFacts(t, got, want)
		})
	}
}

// notInRealLayer lists directories without an entry: others give them the time
// when they were made, we give them none.
var notInRealLayer = []string{"dev", "usr", "usr/share", "var"}

func withoutTimes(all map[string]testkit.Fact, names ...string) {
	for _, name := range names {
		if f, there := all[name]; there {
			f.Mtime = 0
			all[name] = f
		}
	}
}

// layoutLayers returns the layer blobs of the only image in an OCI layout.
func layoutLayers(t testing.TB, layout string) (blobs []string) {
	t.Helper()
	type descriptor struct{ Digest string }
	blob := func(d descriptor) string {
		return filepath.Join(layout, "blobs", strings.Replace(d.Digest, ":", "/", 1))
	}
	read := func(path string, into any) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var index struct{ Manifests []descriptor }
	read(filepath.Join(layout, "index.json"), &index)
	var manifest struct{ Layers []descriptor }
	read(blob(index.Manifests[0]), &manifest)
	for _, layer := range manifest.Layers {
		blobs = append(blobs, blob(layer))
	}
	return blobs
}

// unpackBlob unpacks a compressed layer, as in an image.
func unpackBlob(t testing.TB, blob, dir string) {
	t.Helper()
	file, err := os.Open(blob)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	layer, err := compression.Decompress(file)
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	q := plenty
	if err := Unpack(layer, dir, &q); err != nil {
		t.Fatal(err)
	}
}

// tar(1) unpacks a layer without whiteouts to the same result.
func TestUnpackAsTar(t *testing.T) {
	testkit.NeedRoot(t)
	layer, theirs := testkit.RealLayer(t), t.TempDir()
	cmd := exec.Command("tar", "--xattrs", "--xattrs-include=*", "-xp", "-C", theirs)
	cmd.Stdin = bytes.NewReader(layer)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	ours := testkit.Facts(t, unpackTo(t, t.TempDir(), layer))
	want := testkit.Facts(t, theirs)
	withoutTimes(want, notInRealLayer...)
	testkit.SameFacts(t, ours, want)
}
