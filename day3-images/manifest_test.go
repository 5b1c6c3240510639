package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	ociManifest = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"`
	ociIndex    = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"`
	ociConfig   = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"` + aDigest + `"}`
)

func oneLayer(mediaType, digest string, size any) string {
	return fmt.Sprintf(`"layers":[{"mediaType":%q,"digest":%q,"size":%v}]`, mediaType, digest, size)
}

func TestParseManifest(t *testing.T) {
	for _, mediaType := range []types.MediaType{
		types.OCILayer, types.OCILayerZStd, types.OCIUncompressedLayer,
		types.DockerLayer, types.DockerUncompressedLayer, dockerLayerZstd,
	} {
		m, err := parseManifest([]byte("{" + ociManifest + "," + ociConfig + "," + oneLayer(string(mediaType), aDigest, 7) + "}"))
		if err != nil || len(m.Layers) != 1 || m.Layers[0].Size != 7 {
			t.Errorf("%s: %+v, %v", mediaType, m, err)
		}
	}
}

func TestParseManifestRefuses(t *testing.T) {
	gzip := string(types.OCILayer)
	for name, test := range map[string]struct{ text, want string }{
		"no JSON":            {"hello", "not a manifest"},
		"nothing":            {"", "not a manifest"},
		"two documents":      {"{" + ociManifest + "," + ociConfig + ",\"layers\":[]}{}", "not a manifest"},
		"neither":            {"{" + ociManifest + "}", "neither"},
		"an index":           {"{" + ociIndex + `,"manifests":[]}`, "unexpected media type"},
		"both":               {"{" + ociManifest + "," + ociConfig + `,"layers":[],"manifests":[]}`, "ambiguous"},
		"both, in capitals":  {"{" + ociManifest + "," + ociConfig + `,"layers":[],"Manifests":[]}`, "ambiguous"},
		"both, by type":      {`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",` + ociConfig + `,"layers":[]}`, "unexpected media type"},
		"schema 1":           {`{"schemaVersion":1,"name":"x","fsLayers":[]}`, "schema 1"},
		"schema 1 signed":    {`{"schemaVersion":2,"fsLayers":[],"config":{},"layers":[]}`, "schema 1"},
		"schema 3":           {`{"schemaVersion":3,"config":{},"layers":[]}`, "unknown schema version 3"},
		"an artifact":        {"{" + ociManifest + `,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","size":2,"digest":"` + aDigest + `"},"layers":[]}`, "not a container image"},
		"no digest":          {"{" + ociManifest + "," + ociConfig + `,"layers":[{"mediaType":"` + gzip + `","size":1}]}`, "without a digest"},
		"path as digest":     {"{" + ociManifest + "," + ociConfig + "," + oneLayer(gzip, "sha256:../../x", 1) + "}", "non-hex"},
		"short digest":       {"{" + ociManifest + "," + ociConfig + "," + oneLayer(gzip, "sha256:00", 1) + "}", "wrong number"},
		"capital digest":     {"{" + ociManifest + "," + ociConfig + "," + oneLayer(gzip, strings.ToUpper(aDigest[7:]), 1) + "}", "parse hash"},
		"another digest":     {"{" + ociManifest + "," + ociConfig + "," + oneLayer(gzip, "sha512:"+aDigest[7:]+aDigest[7:], 1) + "}", "unsupported hash"},
		"negative size":      {"{" + ociManifest + "," + ociConfig + "," + oneLayer(gzip, aDigest, -1) + "}", "size of -1"},
		"size beyond int64":  {"{" + ociManifest + "," + ociConfig + "," + oneLayer(gzip, aDigest, "18446744073709551616") + "}", "image manifest"},
		"size with fraction": {"{" + ociManifest + "," + ociConfig + "," + oneLayer(gzip, aDigest, "1.5") + "}", "image manifest"},
		"foreign layer":      {"{" + ociManifest + "," + ociConfig + "," + oneLayer(string(types.DockerForeignLayer), aDigest, 1) + "}", "foreign"},
		"not distributable":  {"{" + ociManifest + "," + ociConfig + "," + oneLayer(string(types.OCIRestrictedLayer), aDigest, 1) + "}", "foreign"},
		"unknown layer":      {"{" + ociManifest + "," + ociConfig + "," + oneLayer("application/x-cpio", aDigest, 1) + "}", "unknown type"},
		"501 layers":         {"{" + ociManifest + "," + ociConfig + `,"layers":[` + strings.Repeat("{},", 500) + "{}]}", "501 layers"},
	} {
		if m, err := parseManifest([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %+v and error %v, want one about %q", name, m, err, test.want)
		}
	}
}

// A document as long as may be takes no more memory than unpacking a layer.
func TestDocumentsInMemory(t *testing.T) {
	long := func(before, part, after string) []byte {
		n := (maxDocument - len(before) - len(after) - 1) / (len(part) + 1)
		return []byte(before + strings.Repeat(part+",", n) + part + after)
	}
	manifest := "{" + ociManifest + "," + ociConfig + `,"layers":[`
	index := "{" + ociIndex + `,"manifests":[`
	m := &v1.Manifest{Layers: make([]v1.Descriptor, 1)}
	for _, part := range []string{"0", "{}", "null", `""`, `{"digest":"` + aDigest + `"}`} {
		for name, parse := range map[string]func() error{
			"layers":    func() error { _, err := parseManifest(long(manifest, part, "]}")); return err },
			"manifests": func() error { _, err := parseIndex(long(index, part, "]}")); return err },
			"history":   func() error { _, err := parseConfig(long(`{"history":[`, part, "]}"), m); return err },
			"diff IDs":  func() error { _, err := parseConfig(long(`{"rootfs":{"diff_ids":[`, part, "]}}"), m); return err },
			"archive":   func() error { _, err := (&spool{}).dockerImages(long("[", part, "]")); return err },
		} {
			var err error
			if peak := testkit.PeakHeap(func() { err = parse() }); peak > 64<<20 {
				t.Errorf("%s of %s: error %v, %d MiB of memory", name, part, err, peak>>20)
			}
		}
	}
}

// What a document is announced to be must be what it is.
func TestIsIndex(t *testing.T) {
	manifest := "{" + ociManifest + "," + ociConfig + `,"layers":[]}`
	untyped := `{"schemaVersion":2,` + ociConfig + `,"layers":[]}`
	index := "{" + ociIndex + `,"manifests":[]}`
	for _, test := range []struct {
		text   string
		stated types.MediaType
		index  bool
		want   string // in the error
	}{
		{manifest, types.OCIManifestSchema1, false, ""},
		{manifest, "", false, ""},
		{manifest, "application/json", false, ""},
		{index, types.OCIImageIndex, true, ""},
		{index, "", true, ""},
		{untyped, types.DockerManifestSchema2, false, ""},
		{manifest, types.OCIImageIndex, false, "announced"},
		{untyped, types.DockerManifestList, false, "announced"},
		{index, types.DockerManifestSchema2, false, "announced"},
		{manifest[:len(manifest)-1] + `,"manifests":[]}`, "", false, "ambiguous"},
	} {
		got, err := isIndex([]byte(test.text), test.stated)
		switch {
		case test.want == "" && (err != nil || got != test.index):
			t.Errorf("%s as %q: got %v, %v", test.text, test.stated, got, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s as %q: got %v, want an error about %q", test.text, test.stated, err, test.want)
		}
	}
}

func TestParseConfigRefuses(t *testing.T) {
	m := &v1.Manifest{Layers: make([]v1.Descriptor, 1)}
	for text, want := range map[string]string{
		"":                             "image configuration",
		"[]":                           "image configuration",
		"{}":                           "rootfs is of type",
		`{"rootfs":{"type":"layers"}}`: "0 diff IDs for 1 layers",
		`{"rootfs":{"type":"layers","diff_ids":["` + aDigest + `","` + aDigest + `"]}}`:         "2 diff IDs for 1 layers",
		`{"rootfs":{"type":"layers","diff_ids":["sha256:../../../x"]}}`:                         "image configuration",
		`{"rootfs":{"type":"layers","diff_ids":[null]}}`:                                        "image configuration",
		`{"rootfs":{"type":"layers","diff_ids":[""]}}`:                                          "image configuration",
		`{"rootfs":{"type":"layers","diff_ids":["` + aDigest + `"]},"created":"yesterday"}`:     "image configuration",
		`{"rootfs":{"type":"layers","diff_ids":["` + aDigest + `"]},"config":{"Env":"A=1"}}`:    "image configuration",
		`{"rootfs":{"type":"layers+base","diff_ids":["` + aDigest + `"]}}`:                      "rootfs is of type",
		`{"rootfs":{"type":"layers","diff_ids":["` + aDigest + `"]}} {"rootfs":{"type":"tar"}}`: "image configuration",
	} {
		if c, err := parseConfig([]byte(text), m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v and error %v, want one about %q", text, c, err, want)
		}
	}
}

func TestChoose(t *testing.T) {
	index := func(platforms ...string) *v1.IndexManifest {
		list := new(v1.IndexManifest)
		for i, name := range platforms {
			p, err := parsePlatform(name)
			if err != nil {
				t.Fatal(err)
			}
			list.Manifests = append(list.Manifests, v1.Descriptor{Size: int64(i), Platform: &p})
		}
		return list
	}
	for _, test := range []struct {
		there []string
		want  string
		index int // -1: none
	}{
		{[]string{"linux/arm64", "linux/amd64"}, "linux/amd64", 1},
		{[]string{"windows/amd64", "linux/386"}, "linux/amd64", -1},
		{[]string{"linux/amd64/v3", "linux/amd64"}, "linux/amd64", 1},
		{[]string{"linux/amd64/v3", "linux/amd64/v1"}, "linux/amd64", 1},
		{[]string{"linux/amd64/v3"}, "linux/amd64", 0},
		{[]string{"linux/amd64", "linux/amd64/v3"}, "linux/amd64/v3", 1},
		{[]string{"linux/amd64"}, "linux/amd64/v3", -1},
		{[]string{"linux/arm64/v8"}, "linux/arm64", 0},
		{[]string{"linux/arm64"}, "linux/arm64/v8", 0},
		{[]string{"linux/arm/v5", "linux/arm/v7", "linux/arm/v6"}, "linux/arm", 1},
		{[]string{"linux/arm/v5", "linux/arm/v7", "linux/arm/v6"}, "linux/arm/v6", 2},
		{[]string{"unknown/unknown"}, "linux/amd64", -1},
		{nil, "linux/amd64", -1},
	} {
		want, err := parsePlatform(test.want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := choose(index(test.there...), want)
		switch {
		case test.index < 0 && err == nil:
			t.Errorf("%s of %v: got number %d", test.want, test.there, got.Size)
		case test.index < 0:
			for _, name := range test.there {
				if !strings.Contains(err.Error(), name) && name != "unknown/unknown" {
					t.Errorf("%s of %v: %v", test.want, test.there, err)
				}
			}
		case err != nil || got.Size != int64(test.index):
			t.Errorf("%s of %v: got number %d, %v; want number %d", test.want, test.there, got.Size, err, test.index)
		}
	}
	for _, bad := range []string{"", "linux", "linux/", "/amd64", "linux/arm/v7/x"} {
		if p, err := parsePlatform(bad); err == nil {
			t.Errorf("platform %q is %+v", bad, p)
		}
	}
}

// Whatever is accepted can be used: no digest that is a path, no size below
// zero, no layer without a diff ID.
func FuzzManifest(f *testing.F) {
	f.Add([]byte("{"+ociManifest+","+ociConfig+","+oneLayer(string(types.OCILayer), aDigest, 1)+"}"), []byte(`{"rootfs":{"type":"layers","diff_ids":["`+aDigest+`"]}}`))
	f.Add([]byte("{"+ociManifest+","+ociConfig+","+oneLayer(string(types.OCILayer), "sha256:../../x", -1)+"}"), []byte(`{"rootfs":{"type":"layers","diff_ids":["sha256:/"]}}`))
	f.Add([]byte("{"+ociIndex+`,"manifests":[{"digest":"`+aDigest+`","size":3,"platform":{"os":"linux","architecture":"amd64"}}]}`), []byte("{}"))
	s := &store{"/store"}
	inside := func(t *testing.T, dir string, path string, digest v1.Hash) {
		if filepath.Dir(path) != dir || len(digest.Hex) != 64 {
			t.Errorf("digest %q leads to %s", digest, path)
		}
	}
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		if index, err := parseIndex(manifest); err == nil {
			for _, d := range index.Manifests {
				inside(t, "/store/blobs/sha256", s.blobPath(d.Digest), d.Digest)
			}
			if _, err := parseManifest(manifest); err == nil {
				t.Error("both an index and a manifest")
			}
		}
		m, err := parseManifest(manifest)
		if err != nil {
			return
		}
		for _, d := range append(slices.Clone(m.Layers), m.Config) {
			inside(t, "/store/blobs/sha256", s.blobPath(d.Digest), d.Digest)
			if d.Size < 0 {
				t.Errorf("size %d", d.Size)
			}
		}
		c, err := parseConfig(config, m)
		if err != nil {
			return
		}
		if len(c.RootFS.DiffIDs) != len(m.Layers) {
			t.Errorf("%d diff IDs for %d layers", len(c.RootFS.DiffIDs), len(m.Layers))
		}
		for _, d := range c.RootFS.DiffIDs {
			inside(t, "/store/layers/sha256", s.layerPath(d), d)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Error(err)
		}
	})
}
