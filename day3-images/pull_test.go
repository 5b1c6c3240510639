package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/registry"
	"example.com/go-docker/day3-images/snapshot"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func TestPull(t *testing.T) {
	needRoot(t)
	s, hub, app := emptyStore(t), newRegistry(t), smallImage(t)
	digest := hub.push(t, "1", app)
	name := hub.name("1")

	got := finish(t, onStore(s, "pull", name))
	if got.status != 0 || got.stdout != name+"\n" || !strings.Contains(got.stderr, "Digest: "+digest+"\nStatus: Downloaded newer image for "+name+"\n") {
		t.Fatalf("pull: %+q", got)
	}
	sound(t, s)
	img, err := s.Resolve(name)
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := snapshot.Dirs(t.Context(), s.Store, img)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"1", "2", ""} {
		content, _ := os.ReadFile(filepath.Join(dirs[i], "etc/a"))
		if string(content) != want {
			t.Errorf("layer %d: etc/a is %q, want %q", i, content, want)
		}
	}

	// Everything is there already.
	got = finish(t, onStore(s, "pull", name))
	if got.status != 0 || !strings.Contains(got.stderr, "Image is up to date for "+name) {
		t.Errorf("second pull: %+q", got)
	}
	if counts := hub.blobRequests(app); !slices.Equal(counts, []int{1, 1, 1}) {
		t.Errorf("layers were asked for %v times", counts)
	}
	// The digest names the same image.
	if got := ok(t, s, "pull", "-q", hub.name(digest)); got != hub.name(digest)+"\n" {
		t.Errorf("pull by digest printed %q", got)
	}
	for _, ref := range []string{hub.name(digest), img.ID, image.ShortID(img.ID), img.ID[:9]} {
		if again, err := s.Resolve(ref); err != nil || again.ID != img.ID {
			t.Errorf("%s: got %v, %v", ref, again, err)
		}
	}
	if rows := ok(t, s, "images", "--no-trunc"); strings.Count(rows, img.ID) != 2 {
		t.Errorf("images:\n%s", rows)
	}
	if img, err = s.Resolve(name); err != nil || !slices.Equal(img.Digests, []string{hub.name(digest)}) {
		t.Errorf("by digest: %q, %v", img.Digests, err)
	}
}

// A tag that has moved on leaves the old image without a name.
func TestPullMovedTag(t *testing.T) {
	needRoot(t)
	s, hub := emptyStore(t), newRegistry(t)
	hub.push(t, "1", smallImage(t))
	ok(t, s, "pull", "-q", hub.name("1"))
	before, err := s.Resolve(hub.name("1"))
	if err != nil {
		t.Fatal(err)
	}
	hub.push(t, "1", makeImage(t, testkit.Tar(t, testkit.File("new", ""))))
	ok(t, s, "pull", "-q", hub.name("1"))
	after, err := s.Resolve(hub.name("1"))
	if err != nil || after.ID == before.ID {
		t.Fatalf("the tag did not move: %v", err)
	}
	if old, err := s.Resolve(before.ID); err != nil || len(old.Names) != 0 {
		t.Errorf("the old image: %+v, %v", old, err)
	}
	sound(t, s)
}

func TestPullPlatform(t *testing.T) {
	needRoot(t)
	s, hub := emptyStore(t), newRegistry(t)
	list := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, p := range []v1.Platform{{OS: "linux", Architecture: "s390x"}, image.HostPlatform(), {OS: "linux", Architecture: "mips"}} {
		app := makeImage(t, testkit.Tar(t, testkit.File("for", p.Architecture)))
		app.config.Architecture = p.Architecture
		digest, err := v1.NewHash(hub.push(t, p.Architecture, app))
		if err != nil {
			t.Fatal(err)
		}
		list.Manifests = append(list.Manifests, v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: 1, Platform: &p})
	}
	indexDigest := hub.pushManifest("all", string(list.MediaType), asJSON(t, list))

	ok(t, s, "pull", hub.name("all"))
	img, err := s.Resolve(hub.name("all"))
	if err != nil || img.Config.Architecture != image.HostPlatform().Architecture {
		t.Errorf("got an image for %+v, %v", img.Config.Architecture, err)
	}
	if again, err := s.Resolve(hub.name(indexDigest)); err != nil || again.ID != img.ID {
		t.Errorf("by the index's digest: %v", err)
	}
	ok(t, s, "pull", "--platform", "linux/s390x", hub.name("all"))
	if img, err = s.Resolve(hub.name("all")); err != nil || img.Config.Architecture != "s390x" {
		t.Errorf("got an image for %+v, %v", img.Config.Architecture, err)
	}
	refused(t, s, "no image for linux/riscv64: there is linux/s390x, linux/"+image.HostPlatform().Architecture+", linux/mips", "pull", "--platform", "linux/riscv64", hub.name("all"))
	refused(t, s, "no image for linux/"+image.HostPlatform().Architecture+": there is linux/mips (--platform linux/mips", "pull", hub.name("mips"))
	refused(t, s, "invalid --platform", "pull", "--platform", "linux", hub.name("all"))
	ok(t, s, "pull", "--platform", "linux/mips", hub.name("mips"))
	sound(t, s)
}

// What sometimes happens on a network: the pull succeeds all the same.
func TestPullSurvives(t *testing.T) {
	needRoot(t)
	hijack := func(w http.ResponseWriter, answer string) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			fmt.Fprint(connection, answer)
			connection.Close()
		}
	}
	isLayer := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request, n int) bool{
		"error 500 twice, everywhere": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n <= 2 {
				http.Error(w, "oops", http.StatusInternalServerError)
			}
			return n <= 2
		},
		"too many requests": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 && isLayer(r) {
				http.Error(w, "slow down", http.StatusTooManyRequests)
				return true
			}
			return false
		},
		"too many requests for two seconds": func() func(w http.ResponseWriter, r *http.Request, n int) bool {
			var until atomic.Int64
			return func(w http.ResponseWriter, r *http.Request, n int) bool {
				now := time.Now().UnixMilli()
				if until.CompareAndSwap(0, now+1900); now >= until.Load() {
					return false
				}
				w.Header().Set("Retry-After", "2")
				http.Error(w, "slow down", http.StatusTooManyRequests)
				if n > 1 {
					t.Errorf("%s: asked again at once", r.URL.Path)
				}
				return true
			}
		}(),
		"connection closed": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 {
				hijack(w, "")
			}
			return n == 1
		},
		"layers break off": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 3 || !isLayer(r) {
				return false
			}
			if n == 2 {
				hijack(w, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
			} else {
				hijack(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nthe start")
			}
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, hub, app := emptyStore(t), newRegistry(t), smallImage(t)
			hub.push(t, "1", app)
			hub.setFault(fault)
			ok(t, s, "pull", hub.name("1"))
			sound(t, s)
		})
	}
}

// What we must not accept from a registry.
func TestPullRefuses(t *testing.T) {
	needRoot(t)
	big := testkit.Text(300_000)
	for name, test := range map[string]struct {
		change func(t *testing.T, f *fakeRegistry, p *imageParts)
		want   string
	}{
		"a layer with one byte changed": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.push(t, "1", p)
			broken := bytes.Clone(p.layers[0])
			broken[len(broken)/2] ^= 1
			f.setBlob(image.SHA256(p.layers[0]).String(), broken)
		}, "is damaged: its digest is"},
		"a layer that is another tar": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.push(t, "1", p)
			other := testkit.Tar(t, testkit.File("etc/c", "4"))
			f.setBlob(image.SHA256(p.layers[2]).String(), append(other, make([]byte, len(p.layers[2])-len(other))...))
		}, "is damaged: its digest is"},
		"a layer that is too long": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.push(t, "1", p)
			f.setBlob(image.SHA256(p.layers[0]).String(), append(bytes.Clone(p.layers[0]), 0))
		}, "is longer than"},
		"a size that is too great": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			p.manifest.Layers[2].Size++
			f.push(t, "1", p)
		}, "ends after"},
		"a size that is too small": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			p.manifest.Layers[2].Size--
			f.push(t, "1", p)
		}, "is longer than"},
		"a wrong diff ID": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			p.config.RootFS.DiffIDs[0] = p.config.RootFS.DiffIDs[1]
			f.push(t, "1", p)
		}, "unpacked layer"},
		"a layer without end": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.push(t, "1", p)
			f.setFault(func(w http.ResponseWriter, r *http.Request, n int) bool {
				if !strings.HasSuffix(r.URL.Path, image.SHA256(p.layers[0]).Hex) {
					return false
				}
				for {
					if _, err := w.Write(big); err != nil {
						return true
					}
				}
			})
		}, "is longer than"},
		"a manifest without end": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.setFault(func(w http.ResponseWriter, r *http.Request, n int) bool {
				if !strings.Contains(r.URL.Path, "manifests") {
					return false
				}
				for {
					if _, err := w.Write(big); err != nil {
						return true
					}
				}
			})
		}, "longer than 4194304 bytes"},
		"an error without end": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.setFault(func(w http.ResponseWriter, r *http.Request, n int) bool {
				w.WriteHeader(http.StatusNotFound)
				for {
					if _, err := w.Write(bytes.Repeat([]byte("no\n"), 1000)); err != nil {
						return true
					}
				}
			})
		}, "404"},
		"a configuration that is too long": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			p.config.Author = strings.Repeat("x", image.MaxDocument)
			f.push(t, "1", p)
		}, "longer than 4194304 bytes"},
		"a configuration that was changed": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.push(t, "1", p)
			config, _ := p.documents(t)
			f.setBlob(image.SHA256(config).String(), bytes.Replace(config, []byte("/bin/sh"), []byte("/bin/ls"), 1))
		}, "is damaged"},
		"a manifest that is not the digest's": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			list := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{{Platform: testkit.Ptr(image.HostPlatform()), Size: 1}}}
			list.Manifests[0].Digest, _ = v1.NewHash(testkit.ADigest)
			_, manifest := p.documents(t)
			f.setManifest(testkit.ADigest, string(p.manifest.MediaType), manifest)
			f.pushManifest("1", string(types.OCIImageIndex), asJSON(t, list))
		}, "is damaged"},
		"a manifest that is an index, too": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			_, manifest := p.documents(t)
			f.pushManifest("1", string(types.OCIManifestSchema1), bytes.Replace(manifest, []byte("{"), []byte(`{"manifests":[],`), 1))
		}, "ambiguous"},
		"an index announced as an image": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.pushManifest("1", string(types.OCIManifestSchema1), asJSON(t, v1.IndexManifest{SchemaVersion: 2, Manifests: []v1.Descriptor{}}))
		}, "announced"},
		"an empty index in an index": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			digest, _ := v1.NewHash(f.pushManifest("2", string(types.OCIImageIndex), asJSON(t, v1.IndexManifest{SchemaVersion: 2, Manifests: []v1.Descriptor{}})))
			f.pushManifest("1", string(types.OCIImageIndex), asJSON(t, v1.IndexManifest{SchemaVersion: 2, Manifests: []v1.Descriptor{{Digest: digest, Platform: testkit.Ptr(image.HostPlatform())}}}))
		}, "there is nothing"},
		"a foreign layer": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			p.manifest.Layers[1].MediaType = types.DockerForeignLayer
			f.push(t, "1", p)
		}, "foreign"},
		"a Windows image": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			p.config.OS = "windows"
			f.push(t, "1", p)
		}, "there is windows/"},
		"a layer that is no tar": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.push(t, "1", makeImage(t, big))
		}, "tar"},
		"a layer that leads out": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.push(t, "1", makeImage(t, testkit.Tar(t, testkit.File("../../../../../../../../tmp/out", ""))))
		}, ".."},
		"a server that always fails": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.push(t, "1", p)
			f.setFault(func(w http.ResponseWriter, r *http.Request, n int) bool {
				w.WriteHeader(http.StatusBadGateway)
				return true
			})
		}, "502"},
		"nothing there": {func(t *testing.T, f *fakeRegistry, p *imageParts) {}, "does not have it"},
		"a missing layer": {func(t *testing.T, f *fakeRegistry, p *imageParts) {
			f.push(t, "1", p)
			f.setBlob(image.SHA256(p.layers[1]).String(), nil)
		}, "no such thing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, hub := emptyStore(t), newRegistry(t)
			test.change(t, hub, smallImage(t))
			got := finish(t, onStore(s, "pull", hub.name("1")))
			if got.status != container.RuntimeError || got.stdout != "" || !strings.Contains(got.stderr, test.want) {
				t.Errorf("%+q, want status 125 and something about %q", got, test.want)
			}
			if last := got.stderr[strings.LastIndex(strings.TrimSpace(got.stderr), "\n")+1:]; len(last) > 600 {
				t.Errorf("a message of %d bytes", len(last))
			}
			if img, err := s.Resolve(hub.name("1")); err == nil {
				t.Errorf("the image is in the store: %+v", img)
			}
			sound(t, s)
		})
	}
}

// Every byte of a layer counts: if any of them changes, the layer is refused.
func TestPullEveryByte(t *testing.T) {
	needRoot(t)
	s, hub := emptyStore(t), newRegistry(t)
	app := makeImage(t, testkit.Gzipped(t, testkit.Tar(t, testkit.File("a", "x"))))
	hub.push(t, "1", app)
	ref, err := image.ParseReference(hub.name("1"))
	if err != nil {
		t.Fatal(err)
	}
	digest := image.SHA256(app.layers[0]).String()
	for i := range app.layers[0] {
		broken := bytes.Clone(app.layers[0])
		broken[i] ^= 1 << (i % 8)
		hub.setBlob(digest, broken)
		if _, _, err := registry.Pull(t.Context(), s.Store, ref, registry.Options{Platform: image.HostPlatform()}); err == nil {
			t.Fatalf("byte %d changed, and pulled", i)
		}
	}
	if blobs := contents(t, s); len(blobs) > 0 {
		t.Errorf("left in the store: %q", blobs)
	}
}

// Layers that were complete when a pull failed are not fetched again.
func TestPullAgain(t *testing.T) {
	needRoot(t)
	s, hub, app := emptyStore(t), newRegistry(t), smallImage(t)
	hub.push(t, "1", app)
	last := image.SHA256(app.layers[2]).String()
	hub.setBlob(last, nil)
	hub.setFault(func(w http.ResponseWriter, r *http.Request, n int) bool {
		if filepath.Base(r.URL.Path) == last { // it is missing only once the others are complete
			for end := time.Now().Add(patience); !s.HasBlob(app.manifest.Layers[0]) || !s.HasBlob(app.manifest.Layers[1]); time.Sleep(2 * time.Millisecond) {
				if time.Now().After(end) {
					t.Errorf("the other layers are not complete after %v", patience)
					break
				}
			}
		}
		return false
	})
	if got := finish(t, onStore(s, "pull", hub.name("1"))); got.status != container.RuntimeError {
		t.Fatalf("%+q", got)
	}
	hub.setBlob(last, app.layers[2])
	ok(t, s, "pull", hub.name("1"))
	if counts := hub.blobRequests(app); !slices.Equal(counts, []int{1, 1, 2}) {
		t.Errorf("layers were asked for %v times", counts)
	}
	sound(t, s)
}

// Several commands that pull the same image fetch and unpack each layer once.
func TestPullAtOnce(t *testing.T) {
	needRoot(t)
	s, hub, app := emptyStore(t), newRegistry(t), smallImage(t)
	hub.push(t, "1", app)
	var pulls []*launched
	for range 6 {
		pulls = append(pulls, launch(t, onStore(s, "pull", "-q", hub.name("1"))))
	}
	for _, p := range pulls {
		if got := p.wait(); got.status != 0 {
			t.Errorf("%+q", got)
		}
	}
	if counts := hub.blobRequests(app); !slices.Equal(counts, []int{1, 1, 1}) {
		t.Errorf("layers were asked for %v times", counts)
	}
	sound(t, s)
}

// Two blobs with one diff ID, and one blob twice: their locks must not block
// each other.
func TestPullSameLayers(t *testing.T) {
	needRoot(t)
	s, hub := emptyStore(t), newRegistry(t)
	plain := testkit.Tar(t, testkit.File("a", string(testkit.Text(100_000))))
	app := makeImage(t, testkit.Gzipped(t, plain), plain, testkit.Gzipped(t, plain), testkit.Zstded(t, plain), plain)
	hub.push(t, "1", app)
	ok(t, s, "pull", hub.name("1"))
	if layers, _ := os.ReadDir(s.Path("layers/sha256")); len(layers) != 1 {
		t.Errorf("%d layers were unpacked", len(layers))
	}
	sound(t, s)
}

// ^C in the middle: only complete layers are left.
func TestPullInterrupted(t *testing.T) {
	needRoot(t)
	s, hub, app := emptyStore(t), newRegistry(t), smallImage(t)
	hub.push(t, "1", app)
	reached, leave := make(chan bool), make(chan bool)
	defer close(leave)
	hub.setFault(func(w http.ResponseWriter, r *http.Request, n int) bool {
		if filepath.Base(r.URL.Path) != image.SHA256(app.layers[0]).String() {
			return false
		}
		w.Write(app.layers[0][:1000])
		w.(http.Flusher).Flush()
		select {
		case reached <- true:
			<-leave
		case <-leave:
		}
		return true
	})
	p := launch(t, onStore(s, "pull", hub.name("1")))
	select {
	case <-reached:
	case <-p.ended:
		t.Fatalf("it has ended without the layer: %+q", p.wait())
	}
	p.signal(2)
	if got := p.wait(); got.status != 130 || strings.Contains(got.stderr, "error") {
		t.Errorf("%+q", got)
	}
	if entries, err := os.ReadDir(s.Path("tmp")); err != nil || len(entries) > 0 {
		t.Errorf("left in tmp: %v, %v", entries, err)
	}
	sound(t, s)
}

func TestPullWithPassword(t *testing.T) {
	needRoot(t)
	s, hub, app := emptyStore(t), newRegistry(t), smallImage(t)
	hub.push(t, "1", app)
	hub.setFault(func(w http.ResponseWriter, r *http.Request, n int) bool {
		if user, password, _ := r.BasicAuth(); user == "me" && password == "secret" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	for _, test := range []struct {
		login string
		works bool
	}{{"me:secret", true}, {"me:wrong", false}, {"", false}} {
		config := t.TempDir()
		host := strings.TrimPrefix(hub.URL, "http://")
		text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte(test.login)))
		if err := os.WriteFile(config+"/config.json", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := onStore(s, "pull", hub.name("1"))
		cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+config)
		got := finish(t, cmd)
		if test.works != (got.status == 0) || !test.works && !strings.Contains(got.stderr, "docker login") {
			t.Errorf("as %q: %+q", test.login, got)
		}
	}
}

// Plain http is only for this machine and for hosts that the user named.
// Requests to hosts elsewhere go to our registry, which serves as a proxy.
func TestPullPlain(t *testing.T) {
	needRoot(t)
	hub := newRegistry(t)
	hub.push(t, "1", smallImage(t))
	port := hub.URL[strings.LastIndex(hub.URL, ":"):]
	for _, test := range []struct{ host, insecure, want string }{
		{"localhost" + port, "", ""},
		{"127.0.0.1" + port, "", ""},
		{"10.1.2.3:5000", "", "10.1.2.3:5000 would be asked by plain http"}, // the library would try
		{"10.1.2.3:5000", "10.1.2.3:5000", ""},
		{"10.1.2.3:5000", "10.1.2.3", "--insecure-registry 10.1.2.3:5000"},
		{"registry.example", "registry.example", ""},
		{"registry.example:5000", "registry.example:5000", ""},
		{"registry.example:5000", "", "registry.example:5000"},
	} {
		s := emptyStore(t)
		args := []string{"pull", test.host + "/some/app:1"}
		if test.insecure != "" {
			args = slices.Insert(args, 1, "--insecure-registry", test.insecure)
		}
		cmd := onStore(s, args...)
		cmd.Env = append(cmd.Env, "HTTP_PROXY="+hub.URL, "HTTPS_PROXY="+hub.URL, "NO_PROXY=")
		got := finish(t, cmd)
		if (test.want == "") != (got.status == 0) || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%q: %+q, want %q", args, got, test.want)
		}
	}
}

// A registry cannot redirect us elsewhere without TLS, either.
func TestPullRedirected(t *testing.T) {
	needRoot(t)
	s, hub := emptyStore(t), newRegistry(t)
	hub.push(t, "1", smallImage(t))
	hub.setFault(func(w http.ResponseWriter, r *http.Request, n int) bool {
		if !strings.Contains(r.URL.Path, "blobs") {
			return false
		}
		http.Redirect(w, r, "http://192.0.2.1/blob", http.StatusTemporaryRedirect)
		return true
	})
	refused(t, s, "192.0.2.1 would be asked by plain http", "pull", hub.name("1"))
}

// A blob and a layer that both exist but do not belong together.
func TestPullMixedUp(t *testing.T) {
	needRoot(t)
	f, s, p := newRegistry(t), emptyStore(t), smallImage(t)
	f.push(t, "1", p)
	ok(t, s, "pull", "-q", f.name("1"))
	mixed := makeImage(t, p.layers...)
	ids := mixed.config.RootFS.DiffIDs
	ids[1], ids[2] = ids[2], ids[1]
	f.push(t, "2", mixed)
	refused(t, s, "unpacked layer", "pull", "-q", f.name("2"))
	// A new blob of a layer that is not new.
	other := makeImage(t, testkit.Zstded(t, testkit.Tar(t, testkit.File("other", ""))))
	other.config.RootFS.DiffIDs[0] = ids[0]
	f.push(t, "3", other)
	refused(t, s, "unpacked layer", "pull", "-q", f.name("3"))
	sound(t, s)
}
