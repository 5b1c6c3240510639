package chain

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/go-docker/day3-images/internal/testkit"
)

// Random images of two to six layers. Stacked by overlayfs, our layers are the
// same as what umoci makes of the tars, which it unpacks one over the other.
// The following are not compared, or not generated (see model_test.go):
//   - the time of a directory that no layer has an entry for, and of the one that
//     it is made in: to umoci that is the time of the making, never to us;
//   - which names are one file, in an image that has a layer twice: settled in two
//     places it may show the same file by two names, until one is written to;
//   - layers whose meaning depends on the order of their entries. To us a layer
//     is a set: a whiteout, or a directory's entry, is as good before as after
//     what is in the directory (image-spec, layer.md: whiteouts should come
//     first). So here they come first, and nothing that an entry's name leads
//     through is replaced by a later entry of the same layer;
//   - two entries of a layer that are one file by different names;
//   - directories with setgid: where umoci makes one that has no entry, that one
//     inherits it, and the group;
//   - hard links to files of a layer below, which we refuse;
//   - a file in the place of a directory that an entry needs: umoci refuses to
//     make it, to us and to overlayfs the directory takes the file's place.
func TestAsUmoci(t *testing.T) {
	testkit.NeedRoot(t)
	_, err := exec.LookPath("umoci")
	testkit.Need(t, err == nil, "umoci")
	images, fresh := 200, 0 // always the same ones; use new ones to look for faults
	switch {
	case os.Getenv("GO_DOCKER_LONG") == "1":
		images, fresh = 400, 20
	case testing.Short():
		images = 15
	}
	settled := 0
	for i := range images + fresh {
		seed := uint64(i)
		if i >= images {
			seed = rand.Uint64()
		}
		if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			tars := randomImage(t, rand.New(rand.NewPCG(seed, 0)))
			settled += compare(t, tars)
		}) && i > 20 {
			break
		}
	}
	if t.Logf("%d layers were settled", settled); settled < images {
		t.Errorf("of %d images only %d layers had to be settled: they say too little", images+fresh, settled)
	}
}

// compare returns how many layers had to be settled.
func compare(t *testing.T, tars [][]byte) int {
	t.Helper()
	started := time.Now().UnixNano()
	theirs := umoci(t, tars)
	base := t.TempDir()
	dirs, err := unpackAll(base, tars)
	if err != nil {
		t.Fatalf("%v\n%s", err, describe(tars))
	}
	got, want := testkit.Facts(t, testkit.MountOverlay(t, "", slices.Clone(dirs)...)), testkit.Facts(t, theirs)
	now := started - int64(time.Second)
	for name, f := range want {
		if f.Kind.IsDir() && f.Mtime >= now && got[name].Mtime < now {
			f.Mtime = got[name].Mtime
			want[name] = f
		}
	}
	if sums := slices.SortedFunc(slices.Values(tars), bytes.Compare); len(slices.CompactFunc(sums, bytes.Equal)) < len(tars) {
		for _, facts := range []map[string]testkit.Fact{got, want} {
			for name, f := range facts {
				f.Link = ""
				facts[name] = f
			}
		}
	}
	testkit.SameFacts(t, got, want)
	if t.Failed() {
		t.Log(describe(tars))
	}
	settled, err := filepath.Glob(base + "/settled *")
	if err != nil {
		t.Fatal(err)
	}
	return len(settled)
}

// describe lists what is in the tars, for debugging.
func describe(tars [][]byte) string {
	var b strings.Builder
	for i, content := range tars {
		fmt.Fprintf(&b, "layer %d:\n", i)
		for r := tar.NewReader(bytes.NewReader(content)); ; {
			hdr, err := r.Next()
			if err != nil {
				break
			}
			fmt.Fprintf(&b, "\t%c %s %s %o %d:%d\n", hdr.Typeflag, hdr.Name, hdr.Linkname, hdr.Mode, hdr.Uid, hdr.Gid)
		}
	}
	return b.String()
}

// umoci unpacks an image.
func umoci(t *testing.T, tars [][]byte) (rootfs string) {
	t.Helper()
	layout := t.TempDir()
	blob := func(kind string, content []byte) map[string]any {
		hex := fmt.Sprintf("%x", sha256.Sum256(content))
		write(t, filepath.Join(layout, "blobs/sha256", hex), content)
		return map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + hex, "size": len(content)}
	}
	document := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var layers, diffIDs []any
	for _, content := range tars {
		layer := blob("layer.v1.tar", content)
		layers, diffIDs = append(layers, layer), append(diffIDs, layer["digest"])
	}
	config := blob("config.v1+json", document(map[string]any{"architecture": "amd64", "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}}))
	manifest := blob("manifest.v1+json", document(map[string]any{"schemaVersion": 2, "config": config, "layers": layers}))
	manifest["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "test"}
	write(t, filepath.Join(layout, "index.json"), document(map[string]any{"schemaVersion": 2, "manifests": []any{manifest}}))
	write(t, filepath.Join(layout, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
	rootfs = filepath.Join(t.TempDir(), "rootfs")
	if text, err := exec.Command("umoci", "raw", "unpack", "--image", layout+":test", rootfs).CombinedOutput(); err != nil {
		t.Fatalf("umoci: %v: %s\n%s", err, text, describe(tars))
	}
	return rootfs
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
