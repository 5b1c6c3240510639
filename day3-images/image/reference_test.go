package image

import (
	"strings"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
)

func TestParseReference(t *testing.T) {
	for _, test := range []struct{ text, full, familiar string }{
		{"busybox", "docker.io/library/busybox:latest", "busybox:latest"},
		{"busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"},
		{"library/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
		{"docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
		{"index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
		{"bitnami/redis:7", "docker.io/bitnami/redis:7", "bitnami/redis:7"},
		{"localhost/app", "localhost/app:latest", "localhost/app:latest"},
		{"localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"},
		{"127.0.0.1:5000/a/b/c:T_1.x-y", "127.0.0.1:5000/a/b/c:T_1.x-y", "127.0.0.1:5000/a/b/c:T_1.x-y"},
		{"[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"},
		{"GHCR.io/app", "GHCR.io/app:latest", "GHCR.io/app:latest"},
		{"a__b/c--d.e", "docker.io/a__b/c--d.e:latest", "a__b/c--d.e:latest"},
		{"busybox@" + testkit.ADigest, "docker.io/library/busybox@" + testkit.ADigest, "busybox@" + testkit.ADigest},
		{"busybox:1.36@" + testkit.ADigest, "docker.io/library/busybox@" + testkit.ADigest, "busybox@" + testkit.ADigest},
		{"deadbeef", "docker.io/library/deadbeef:latest", "deadbeef:latest"},
		// The rest after docker.io/ would mean something else.
		{"docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
		{"docker.io/foo.com/bar", "docker.io/foo.com/bar:latest", "docker.io/foo.com/bar:latest"},
	} {
		r, err := ParseReference(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if r.String() != test.full {
			t.Errorf("%s: got %s, want %s", test.text, r, test.full)
		}
		if got := Familiar(r.String()); got != test.familiar {
			t.Errorf("%s: shown as %s, want %s", test.text, got, test.familiar)
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "want [REGISTRY/]",
		"Busybox":                              "want [REGISTRY/]",
		"a b":                                  "want [REGISTRY/]",
		"../../etc":                            "want [REGISTRY/]",
		"a/../b":                               "want [REGISTRY/]",
		"a//b":                                 "want [REGISTRY/]",
		"/a":                                   "want [REGISTRY/]",
		"a/":                                   "want [REGISTRY/]",
		"a___b":                                "want [REGISTRY/]",
		"-a":                                   "want [REGISTRY/]",
		"busybox:":                             "want [REGISTRY/]",
		"busybox:-x":                           "want [REGISTRY/]",
		"busybox:" + long(129):                 "want [REGISTRY/]",
		long(256):                              "want [REGISTRY/]",
		"busybox@":                             "want [REGISTRY/]",
		"busybox@sha256:abc":                   "wrong number of hex digits",
		"busybox@sha256:../../x":               "want [REGISTRY/]",
		"busybox@" + testkit.ADigest + "@x":    "want [REGISTRY/]",
		"busybox@md5:" + testkit.ADigest[7:39]: "unsupported hash",
		testkit.ADigest[7:]:                    "taken for an image ID",
		"host_name:5000/a":                     "want [REGISTRY/]",
		"host:port/a":                          "want [REGISTRY/]",
		"[::1/a":                               "want [REGISTRY/]",
		"busybox\n":                            "want [REGISTRY/]",
		"busybox:latest\n":                     "want [REGISTRY/]",
	} {
		if r, err := ParseReference(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v and error %v, want one about %q", text, r, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("a", n) }

// An accepted name is accepted again, in full and short, and means the same.
func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{"busybox", "a.b:5/c:d", "docker.io/library/x/y", "docker.io/a.b/c", "x@" + testkit.ADigest, "[::]/a", "localhost/A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReference(text)
		if err != nil {
			return
		}
		for _, name := range []string{r.String(), Familiar(r.String())} {
			again, err := ParseReference(name)
			if err != nil || again.String() != r.String() {
				t.Errorf("%q is %q, and %q is %q (%v)", text, r, name, again, err)
			}
		}
		if r.Tag == "" == (r.Digest.Hex == "") {
			t.Errorf("%q: tag %q and digest %q", text, r.Tag, r.Digest)
		}
		repository, tag := SplitName(r.String())
		if repository != r.Repository() || tag != r.Tag {
			t.Errorf("%q is taken apart into %q and %q", r, repository, tag)
		}
	})
}
