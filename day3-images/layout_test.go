package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A layout is an OCI layout, or the content of a registry, in the making.
type layout struct {
	t     *testing.T
	files map[string]string
}

func (l layout) blob(content []byte, kind types.MediaType) v1.Descriptor {
	digest := image.SHA256(content)
	l.files["blobs/sha256/"+digest.Hex] = string(content)
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: int64(len(content))}
}

// image adds one for an architecture.
func (l layout) image(arch string) v1.Descriptor {
	p := makeImage(l.t, testkit.Tar(l.t, testkit.File("for", arch)))
	p.config.Architecture = arch
	maps.Copy(l.files, p.ociFiles(l.t, nil))
	_, manifest := p.documents(l.t)
	return l.blob(manifest, types.OCIManifestSchema1)
}

func (l layout) index(entries ...v1.Descriptor) v1.Descriptor {
	return l.blob(asJSON(l.t, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: entries}), types.OCIImageIndex)
}

func forPlatform(d v1.Descriptor, arch string) v1.Descriptor {
	d.Platform = &v1.Platform{OS: "linux", Architecture: arch}
	return d
}

func called(d v1.Descriptor, name string) v1.Descriptor {
	d.Annotations = image.NameAnnotations(name)
	return d
}

// What other tools list besides images, and how they list images.
func TestLayouts(t *testing.T) {
	needRoot(t)
	ours := image.HostPlatform().Architecture
	const app = "docker.io/library/app:1"
	type D = v1.Descriptor
	unknown := func(l layout) D { return l.blob([]byte("\x00anything"), "application/x-anything") }
	artifact := func(l layout) D {
		empty := l.blob([]byte("{}"), "application/vnd.oci.empty.v1+json")
		return l.blob(asJSON(t, v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: empty, Layers: []D{empty}}), types.OCIManifestSchema1)
	}
	attestation := func(l layout) D {
		d := l.image("unknown")
		d.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
		d.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		return d
	}
	absent := D{MediaType: types.OCIManifestSchema1, Digest: image.SHA256([]byte("absent")), Size: 6}
	for name, c := range map[string]struct {
		list func(l layout) []D
		want string // printed for our platform, or in the error
		s390 string // with --platform linux/s390x
	}{
		"an unknown type":  {func(l layout) []D { return []D{unknown(l), called(l.image(ours), app)} }, "Loaded image: app:1\n", "there is linux/" + ours},
		"an attestation":   {func(l layout) []D { return []D{called(l.image(ours), app), attestation(l)} }, "Loaded image: app:1\n", "there is linux/" + ours},
		"an artifact":      {func(l layout) []D { return []D{artifact(l), called(l.image(ours), app)} }, "Loaded image: app:1\n", "there is linux/" + ours},
		"only an artifact": {func(l layout) []D { return []D{artifact(l)} }, "not a container image", "not a container image"},
		"nothing":          {func(l layout) []D { return []D{} }, "there is no image in it", "there is no image in it"},
		"two platforms by one name": {func(l layout) []D {
			return []D{called(forPlatform(l.image("s390x"), "s390x"), app), called(forPlatform(l.image(ours), ours), app), called(forPlatform(l.image("mips"), "mips"), app)}
		}, "Loaded image: app:1\n", "Loaded image: app:1\n"},
		"two platforms without a name": {func(l layout) []D {
			return []D{forPlatform(l.image(ours), ours), forPlatform(absent, "mips")}
		}, "Loaded image ID: ", "no image for linux/s390x"},
		"an image twice, without a name": {func(l layout) []D {
			return []D{l.image(ours), l.image(ours)}
		}, "Loaded image ID: ", "no image for linux/s390x"},
		"a missing platform": {func(l layout) []D {
			return []D{called(l.index(forPlatform(absent, "s390x"), forPlatform(l.image(ours), ours)), app)}
		}, "Loaded image: app:1\n", "is not in the archive"},
		"no platform in the entries": {func(l layout) []D {
			return []D{called(l.index(artifact(l), l.image("s390x"), l.image(ours), l.image("mips")), app)}
		}, "Loaded image: app:1\n", "Loaded image: app:1\n"},
		"an index in an index": {func(l layout) []D {
			return []D{called(l.index(attestation(l), unknown(l), l.index(l.index(forPlatform(l.image(ours), ours))), l.index(l.image("s390x"))), app)}
		}, "Loaded image: app:1\n", "Loaded image: app:1\n"},
		"too many indexes": {func(l layout) []D {
			d := l.image(ours)
			for range 10 {
				d = l.index(d)
			}
			return []D{called(d, app)}
		}, "more than 4 indexes in one another", "more than 4 indexes in one another"},
		"an image for another platform": {func(l layout) []D { return []D{called(l.image("s390x"), app)} }, "Loaded image: app:1\n", "Loaded image: app:1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			l := layout{t, map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}}
			list := c.list(l)
			l.files["index.json"] = string(asJSON(t, v1.IndexManifest{SchemaVersion: 2, Manifests: list}))
			file := filepath.Join(t.TempDir(), "layout.tar")
			if err := os.WriteFile(file, tarOf(t, l.files), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, run := range []struct {
				arch, want string
				args       []string
			}{{ours, c.want, nil}, {"s390x", c.s390, []string{"--platform", "linux/s390x"}}} {
				s := emptyStore(t)
				args := append([]string{"load", "-i", file}, run.args...)
				if !strings.HasPrefix(run.want, "Loaded") {
					refused(t, s, run.want, args...)
					continue
				}
				if got := ok(t, s, args...); !strings.HasPrefix(got, run.want) || strings.Count(got, "\n") != 1 {
					t.Errorf("%q printed %q, want one line with %q", args, got, run.want)
				}
				images, err := s.Images()
				if err != nil || len(images) != 1 || images[0].Config.Architecture != run.arch && name != "an image for another platform" {
					t.Errorf("%q: %+v, %v", args, images, err)
				}
				sound(t, s)
			}
		})
	}
}

// A registry's indexes are read the same way.
func TestPullIndexes(t *testing.T) {
	needRoot(t)
	ours := image.HostPlatform().Architecture
	s, hub := emptyStore(t), newRegistry(t)
	push := func(arch string) v1.Descriptor {
		p := makeImage(t, testkit.Tar(t, testkit.File("for", arch)))
		p.config.Architecture = arch
		digest, err := v1.NewHash(hub.push(t, arch, p))
		if err != nil {
			t.Fatal(err)
		}
		return v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: 1}
	}
	index := func(tag string, entries ...v1.Descriptor) v1.Descriptor {
		text := asJSON(t, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: entries})
		hub.pushManifest(tag, string(types.OCIImageIndex), text)
		return v1.Descriptor{MediaType: types.OCIImageIndex, Digest: image.SHA256(text), Size: int64(len(text))}
	}
	signature := v1.Descriptor{MediaType: "application/x-signature", Digest: image.SHA256(nil)}
	inner := index("inner", push("s390x"), push(ours))
	index("outer", signature, inner)
	for _, arch := range []string{ours, "s390x"} {
		ok(t, s, "pull", "--platform", "linux/"+arch, hub.name("outer"))
		if img, err := s.Resolve(hub.name("outer")); err != nil || img.Config.Architecture != arch {
			t.Errorf("%s: %+v, %v", arch, img, err)
		}
	}
	refused(t, s, "no image for linux/mips: there is linux/s390x, linux/"+ours, "pull", "--platform", "linux/mips", hub.name("outer"))
	sound(t, s)
}
