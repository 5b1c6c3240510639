package image

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

func oneLayer(mediaType, digest string, size any) string {
	return fmt.Sprintf(`"layers":[{"mediaType":%q,"digest":%q,"size":%v}]`, mediaType, digest, size)
}

func TestParseManifest(t *testing.T) {
	for _, mediaType := range []types.MediaType{
		types.OCILayer, types.OCILayerZStd, types.OCIUncompressedLayer,
		types.DockerLayer, types.DockerUncompressedLayer, DockerLayerZstd,
	} {
		m, err := ParseManifest([]byte("{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(string(mediaType), testkit.ADigest, 7) + "}"))
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
		"two documents":      {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + ",\"layers\":[]}{}", "not a manifest"},
		"neither":            {"{" + testkit.OCIManifest + "}", "neither"},
		"an index":           {"{" + testkit.OCIIndex + `,"manifests":[]}`, "announced"},
		"both":               {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + `,"layers":[],"manifests":[]}`, "ambiguous"},
		"both, in capitals":  {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + `,"layers":[],"Manifests":[]}`, "ambiguous"},
		"both, by type":      {`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",` + testkit.OCIConfig + `,"layers":[]}`, "unexpected media type"},
		"schema 1":           {`{"schemaVersion":1,"name":"x","fsLayers":[]}`, "schema 1"},
		"schema 1 signed":    {`{"schemaVersion":2,"fsLayers":[],"config":{},"layers":[]}`, "schema 1"},
		"schema 3":           {`{"schemaVersion":3,"config":{},"layers":[]}`, "unknown schema version 3"},
		"an artifact":        {"{" + testkit.OCIManifest + `,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","size":2,"digest":"` + testkit.ADigest + `"},"layers":[]}`, "not a container image"},
		"no digest":          {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + `,"layers":[{"mediaType":"` + gzip + `","size":1}]}`, "without a digest"},
		"path as digest":     {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(gzip, "sha256:../../x", 1) + "}", "non-hex"},
		"short digest":       {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(gzip, "sha256:00", 1) + "}", "wrong number"},
		"capital digest":     {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(gzip, strings.ToUpper(testkit.ADigest[7:]), 1) + "}", "parse hash"},
		"another digest":     {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(gzip, "sha512:"+testkit.ADigest[7:]+testkit.ADigest[7:], 1) + "}", "unsupported hash"},
		"negative size":      {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(gzip, testkit.ADigest, -1) + "}", "size of -1"},
		"size beyond int64":  {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(gzip, testkit.ADigest, "18446744073709551616") + "}", "image manifest"},
		"size with fraction": {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(gzip, testkit.ADigest, "1.5") + "}", "image manifest"},
		"foreign layer":      {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(string(types.DockerForeignLayer), testkit.ADigest, 1) + "}", "foreign"},
		"not distributable":  {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer(string(types.OCIRestrictedLayer), testkit.ADigest, 1) + "}", "foreign"},
		"unknown layer":      {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + "," + oneLayer("application/x-cpio", testkit.ADigest, 1) + "}", "unknown type"},
		"501 layers":         {"{" + testkit.OCIManifest + "," + testkit.OCIConfig + `,"layers":[` + strings.Repeat("{},", 500) + "{}]}", "501 layers"},
	} {
		if m, err := ParseManifest([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %+v and error %v, want one about %q", name, m, err, test.want)
		}
	}
}

// A document of the maximum length takes no more memory than unpacking a layer.
func TestDocumentsInMemory(t *testing.T) {
	long := func(before, part, after string) []byte {
		n := (MaxDocument - len(before) - len(after) - 1) / (len(part) + 1)
		return []byte(before + strings.Repeat(part+",", n) + part + after)
	}
	manifest := "{" + testkit.OCIManifest + "," + testkit.OCIConfig + `,"layers":[`
	index := "{" + testkit.OCIIndex + `,"manifests":[`
	m := &v1.Manifest{Layers: make([]v1.Descriptor, 1)}
	for _, part := range []string{"0", "{}", "null", `""`, `{"digest":"` + testkit.ADigest + `"}`} {
		for name, parse := range map[string]func() error{
			"layers":    func() error { _, err := ParseManifest(long(manifest, part, "]}")); return err },
			"manifests": func() error { _, err := ParseIndex(long(index, part, "]}")); return err },
			"history":   func() error { _, err := ParseConfig(long(`{"history":[`, part, "]}"), m); return err },
			"diff IDs":  func() error { _, err := ParseConfig(long(`{"rootfs":{"diff_ids":[`, part, "]}}"), m); return err },
			"archive": func() error {
				var entries []struct {
					Config           string
					RepoTags, Layers []string
				}
				return ParseJSON(long("[", part, "]"), &entries)
			},
		} {
			var err error
			if peak := testkit.PeakHeap(func() { err = parse() }); peak > 64<<20 {
				t.Errorf("%s of %s: error %v, %d MiB of memory", name, part, err, peak>>20)
			}
		}
	}
}

// A document must be of the type that was announced.
func TestCheckKind(t *testing.T) {
	manifest := "{" + testkit.OCIManifest + "," + testkit.OCIConfig + `,"layers":[]}`
	untyped := `{"schemaVersion":2,` + testkit.OCIConfig + `,"layers":[]}`
	index := "{" + testkit.OCIIndex + `,"manifests":[]}`
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
		got, err := checkKind([]byte(test.text), test.stated)
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
		`{"rootfs":{"type":"layers","diff_ids":["` + testkit.ADigest + `","` + testkit.ADigest + `"]}}`: "2 diff IDs for 1 layers",
		`{"rootfs":{"type":"layers","diff_ids":["sha256:../../../x"]}}`:                                 "image configuration",
		`{"rootfs":{"type":"layers","diff_ids":[null]}}`:                                                "image configuration",
		`{"rootfs":{"type":"layers","diff_ids":[""]}}`:                                                  "image configuration",
		`{"rootfs":{"type":"layers","diff_ids":["` + testkit.ADigest + `"]},"created":"yesterday"}`:     "image configuration",
		`{"rootfs":{"type":"layers","diff_ids":["` + testkit.ADigest + `"]},"config":{"Env":"A=1"}}`:    "image configuration",
		`{"rootfs":{"type":"layers+base","diff_ids":["` + testkit.ADigest + `"]}}`:                      "rootfs is of type",
		`{"rootfs":{"type":"layers","diff_ids":["` + testkit.ADigest + `"]}} {"rootfs":{"type":"tar"}}`: "image configuration",
	} {
		if c, err := ParseConfig([]byte(text), m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v and error %v, want one about %q", text, c, err, want)
		}
	}
}

func TestChoose(t *testing.T) {
	index := func(platforms ...string) *v1.IndexManifest {
		list := new(v1.IndexManifest)
		for i, name := range platforms {
			p, err := ParsePlatform(name)
			if err != nil {
				t.Fatal(err)
			}
			list.Manifests = append(list.Manifests, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(i), Platform: &p})
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
		want, err := ParsePlatform(test.want)
		if err != nil {
			t.Fatal(err)
		}
		var got v1.Descriptor
		_, _, err = Choose(index(test.there...).Manifests, want, func(d v1.Descriptor) ([]byte, error) {
			got = d
			return []byte(`{` + testkit.OCIManifest + `,` + testkit.OCIConfig + `,"layers":[]}`), nil
		})
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
		if p, err := ParsePlatform(bad); err == nil {
			t.Errorf("platform %q is %+v", bad, p)
		}
	}
}

// Whatever is accepted can be used: no digest that is a path, no negative size,
// no layer without a diff ID.
func FuzzManifest(f *testing.F) {
	f.Add([]byte("{"+testkit.OCIManifest+","+testkit.OCIConfig+","+oneLayer(string(types.OCILayer), testkit.ADigest, 1)+"}"), []byte(`{"rootfs":{"type":"layers","diff_ids":["`+testkit.ADigest+`"]}}`))
	f.Add([]byte("{"+testkit.OCIManifest+","+testkit.OCIConfig+","+oneLayer(string(types.OCILayer), "sha256:../../x", -1)+"}"), []byte(`{"rootfs":{"type":"layers","diff_ids":["sha256:/"]}}`))
	f.Add([]byte("{"+testkit.OCIIndex+`,"manifests":[{"digest":"`+testkit.ADigest+`","size":3,"platform":{"os":"linux","architecture":"amd64"}}]}`), []byte("{}"))
	inside := func(t *testing.T, digest v1.Hash) {
		if path := filepath.Join("/store", digest.Hex); filepath.Dir(path) != "/store" || len(digest.Hex) != 64 {
			t.Errorf("digest %q leads to %s", digest, path)
		}
	}
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		if index, err := ParseIndex(manifest); err == nil {
			for _, d := range index.Manifests {
				inside(t, d.Digest)
			}
			if _, err := ParseManifest(manifest); err == nil {
				t.Error("both an index and a manifest")
			}
		}
		m, err := ParseManifest(manifest)
		if err != nil {
			return
		}
		for _, d := range append(slices.Clone(m.Layers), m.Config) {
			inside(t, d.Digest)
			if d.Size < 0 {
				t.Errorf("size %d", d.Size)
			}
		}
		c, err := ParseConfig(config, m)
		if err != nil {
			return
		}
		if len(c.RootFS.DiffIDs) != len(m.Layers) {
			t.Errorf("%d diff IDs for %d layers", len(c.RootFS.DiffIDs), len(m.Layers))
		}
		for _, d := range c.RootFS.DiffIDs {
			inside(t, d)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Error(err)
		}
	})
}
