package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/image"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/snapshot"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// peers are other people's tools, with a store of their own for the duration of
// the test.
type peers struct {
	t        testing.TB
	dir      string
	registry string // host:port of a docker-registry
}

func newPeers(t testing.TB, tools ...string) *peers {
	t.Helper()
	needRoot(t)
	for _, tool := range tools {
		_, err := exec.LookPath(tool)
		if tool == "docker-registry" && err != nil {
			_, err = exec.LookPath("registry") // its name on Fedora
		}
		need(t, err == nil, tool)
	}
	p := &peers{t: t, dir: shortDir(t)}
	if slices.Contains(tools, "docker-registry") {
		p.startRegistry()
	}
	return p
}

// shortDir makes a temporary directory with a short name, because podman
// accepts at most 50 bytes for its runroot.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(shortTemp(), "go-docker-test.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// shortTemp returns /tmp, unless the benchmarks have a disk of their own.
func shortTemp() string {
	if tmp := os.TempDir(); len(tmp) <= len("/tmp/b.XXXX") {
		return tmp
	}
	return "/tmp"
}

// run runs a tool and returns what it prints.
func (p *peers) run(name string, args ...string) string {
	p.t.Helper()
	switch name {
	case "buildah", "podman":
		args = append([]string{"--root", p.dir + "/storage", "--runroot", p.dir + "/run", "--storage-driver", "vfs"}, args...)
	case "skopeo":
		args = append([]string{"--insecure-policy", "--tmpdir", p.dir}, args...)
	}
	cmd := exec.Command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%s %q: %v: %s", name, args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (p *peers) startRegistry() {
	p.t.Helper()
	root, err := os.MkdirTemp(p.dir, "registry.")
	if err != nil {
		p.t.Fatal(err)
	}
	// It takes a free port itself and says which: one that we had found free might be somebody else's by then.
	config := fmt.Sprintf("version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: '127.0.0.1:0'}\n", root)
	if err := os.WriteFile(root+"/config.yml", []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		program = "registry"
	}
	cmd := exec.Command(program, "serve", root+"/config.yml")
	var output transcript
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if p.t.Failed() {
			p.t.Logf("docker-registry: %s", output.String())
		}
	})
	listens := regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)[^0-9]`)
	poll(p.t, "docker-registry answers", func() bool {
		said := listens.FindStringSubmatch(output.String())
		if said == nil {
			return false
		}
		p.registry = said[1]
		answer, err := http.Get("http://" + p.registry + "/v2/")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil
	})
}

// build makes buildah build an image of two layers. The second changes a file,
// deletes another, and has a hard link and a setuid program.
func (p *peers) build(name string) {
	p.t.Helper()
	tree := p.dir + "/tree"
	for _, dir := range []string{"bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"etc/a": "1", "etc/doomed": "1", "etc/big": string(testkit.Text(200_000))} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(content), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	c := p.run("buildah", "from", "scratch")
	p.run("buildah", "copy", c, tree, "/")
	p.run("buildah", "config", "--env", "A=1", "--cmd", "/bin/sh", "--workingdir", "/etc", "--user", "65534", c)
	p.run("buildah", "commit", "--rm", c, "base")
	c = p.run("buildah", "from", "--pull-never", "base")
	mount := p.run("buildah", "mount", c)
	script := `cd "$1"; echo 2 >etc/a; rm etc/doomed; cp etc/a bin/su; chmod 4755 bin/su; ln etc/a etc/same; setfattr -n user.note -v hi etc/a || true`
	p.run("sh", "-ec", script, "sh", mount)
	p.run("buildah", "config", "--label", "made=by buildah", c)
	p.run("buildah", "commit", "--rm", c, name)
}

// Images made by buildah and pushed to a registry in every format.
func TestPullFromPeers(t *testing.T) {
	p := newPeers(t, "buildah", "skopeo", "docker-registry")
	p.build("app")
	for _, format := range []string{"oci", "v2s2"} {
		for _, compression := range []string{"gzip", "zstd"} {
			if format == "v2s2" && compression == "zstd" {
				continue // buildah does not do that
			}
			t.Run(format+" "+compression, func(t *testing.T) {
				p.startRegistry() // buildah would not push in zstd what a registry already has in gzip
				tag := p.registry + "/app:" + format + compression
				p.run("buildah", "push", "-q", "--format", format, "--compression-format", compression, "--tls-verify=false", "app", "docker://"+tag)
				s := emptyStore(t)
				got := finish(t, onStore(s, "pull", tag))
				if got.status != 0 {
					t.Fatalf("%+q", got)
				}
				sound(t, s)
				img, err := s.Resolve(tag)
				if err != nil {
					t.Fatal(err)
				}
				digest := p.run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://"+tag)
				if !slices.Contains(img.Digests, p.registry+"/app@"+digest) {
					t.Errorf("digests %q, want %s", img.Digests, digest)
				}
				layer := string(img.Manifest.Layers[0].MediaType)
				if strings.Contains(string(img.Manifest.MediaType), "docker") != (format == "v2s2") || !strings.HasSuffix(layer, compression) {
					t.Errorf("not what the test is about: %s and %s", img.Manifest.MediaType, layer)
				}
				c := img.Config.Config
				if !slices.Contains(c.Env, "A=1") || c.WorkingDir != "/etc" || c.User != "65534" || c.Labels["made"] != "by buildah" {
					t.Errorf("%+v", c)
				}
				dirs, err := snapshot.Dirs(t.Context(), s.Store, img)
				if err != nil || len(dirs) != 2 {
					t.Fatalf("%q, %v", dirs, err)
				}
				if text, err := os.ReadFile(dirs[1] + "/etc/a"); err != nil || string(text) != "2\n" {
					t.Errorf("etc/a: %q, %v", text, err)
				}
			})
		}
	}
}

// An image for several platforms, as buildah pushes it.
func TestPullManifestList(t *testing.T) {
	p := newPeers(t, "buildah", "docker-registry")
	p.run("buildah", "manifest", "create", "list")
	for _, arch := range []string{"s390x", image.HostPlatform().Architecture} {
		c := p.run("buildah", "from", "scratch")
		p.run("buildah", "config", "--arch", arch, c)
		p.run("buildah", "commit", "--rm", c, arch)
		p.run("buildah", "manifest", "add", "--arch", arch, "list", p.run("buildah", "images", "-q", arch))
	}
	tag := p.registry + "/list:1"
	p.run("buildah", "manifest", "push", "-q", "--all", "--tls-verify=false", "list", "docker://"+tag)
	s := emptyStore(t)
	for _, arch := range []string{image.HostPlatform().Architecture, "s390x"} {
		ok(t, s, "pull", "-q", "--platform", "linux/"+arch, tag)
		if img, err := s.Resolve(tag); err != nil || img.Config.Architecture != arch {
			t.Errorf("%s: %+v, %v", arch, img, err)
		}
	}
	sound(t, s)
}

// Others accept what we save, and it is the same image to them.
func TestPeersTakeWhatWeSave(t *testing.T) {
	p := newPeers(t, "buildah", "skopeo", "podman", "docker-registry")
	p.build("app")
	s := emptyStore(t)
	for _, compression := range []string{"gzip", "zstd"} {
		p.startRegistry()
		tag := p.registry + "/app:" + compression
		p.run("buildah", "push", "-q", "--format", "oci", "--compression-format", compression, "--tls-verify=false", "app", "docker://"+tag)
		ok(t, s, "pull", "-q", tag)
		img, err := s.Resolve(tag)
		if err != nil {
			t.Fatal(err)
		}
		img, err = commit.Image(context.Background(), s.Store, img, testkit.WriteTar(t, testkit.File("etc/.wh.a", ""), testkit.File("ours", "1")), func(*v1.ConfigFile) error { return nil }, "ours:"+compression)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"docker-archive", "oci-archive"} {
			t.Run(format+" "+compression, func(t *testing.T) {
				p := &peers{t: t, dir: shortDir(t)}
				file := p.dir + "/image.tar"
				ok(t, s, "save", "-o", file, "ours:"+compression)
				source := format + ":" + file
				if format == "oci-archive" {
					source += ":docker.io/library/ours:" + compression
				}
				var inspected struct{ Architecture string }
				if err := json.Unmarshal([]byte(p.run("skopeo", "inspect", source)), &inspected); err != nil || inspected.Architecture != img.Config.Architecture {
					t.Errorf("skopeo inspect: %+v, %v", inspected, err)
				}
				p.run("skopeo", "copy", "-q", source, "oci:"+p.dir+"/copy:x")
				var config struct {
					RootFS struct {
						DiffIDs []string `json:"diff_ids"`
					}
				}
				if err := json.Unmarshal([]byte(p.run("skopeo", "inspect", "--config", "oci:"+p.dir+"/copy:x")), &config); err != nil {
					t.Error(err)
				}
				var want []string
				for _, diffID := range img.Config.RootFS.DiffIDs {
					want = append(want, diffID.String())
				}
				if !slices.Equal(config.RootFS.DiffIDs, want) {
					t.Errorf("skopeo copy: diff IDs %q, want %q", config.RootFS.DiffIDs, want)
				}
				p.run("podman", "load", "-q", "-i", file)
				got := p.run("podman", "image", "inspect", "--format", "sha256:{{.Id}} {{.RepoTags}}", "docker.io/library/ours:"+compression)
				if got != img.ID+" [docker.io/library/ours:"+compression+"]" {
					t.Errorf("podman has %s, want %s", got, img.ID)
				}
				// podman has the files of all three layers.
				mount := p.run("podman", "image", "mount", "ours:"+compression)
				listing := p.run("sh", "-c", `cd "$1"; find . -type f | sort | xargs`, "sh", mount)
				if listing != "./bin/su ./etc/big ./etc/same ./ours" {
					t.Errorf("in podman's copy: %s", listing)
				}
				p.run("podman", "image", "umount", "ours:"+compression)
			})
		}
	}
	// The store itself is an OCI image layout.
	if got := p.run("skopeo", "inspect", "--format", "{{.Architecture}}", "oci:"+s.Root+":docker.io/library/ours:gzip"); got != image.HostPlatform().Architecture {
		t.Errorf("skopeo inspect of the store: %s", got)
	}
}

// We can load what others save, and it is the same image to us.
func TestLoadFromPeers(t *testing.T) {
	p := newPeers(t, "buildah", "skopeo", "podman")
	p.build("localhost/app:1")
	id := "sha256:" + p.run("podman", "image", "inspect", "--format", "{{.Id}}", "localhost/app:1")
	file := func(name string) string { return filepath.Join(p.dir, name) }
	p.run("podman", "save", "-q", "--format", "docker-archive", "-o", file("podman-docker"), "localhost/app:1")
	p.run("podman", "save", "-q", "--format", "oci-archive", "-o", file("podman-oci"), "localhost/app:1")
	p.run("podman", "tag", "localhost/app:1", "localhost/app:2")
	p.run("podman", "save", "-q", "--multi-image-archive", "-o", file("podman-two"), "localhost/app:1", "localhost/app:2", "base")
	p.run("buildah", "push", "-q", "localhost/app:1", "docker-archive:"+file("buildah-docker")+":localhost/app:1")
	p.run("buildah", "push", "-q", "localhost/app:1", "oci-archive:"+file("buildah-oci")+":localhost/app:1")
	p.run("skopeo", "copy", "-q", "docker-archive:"+file("podman-docker"), "oci-archive:"+file("skopeo-oci")+":localhost/app:1")
	for name, want := range map[string]string{
		"podman-docker": "Loaded image: localhost/app:1\n", "podman-oci": "Loaded image: localhost/app:1\n",
		"podman-two":     "Loaded image: localhost/app:1\nLoaded image: localhost/app:2\nLoaded image: localhost/base:latest\n",
		"buildah-docker": "Loaded image: localhost/app:1\n", "buildah-oci": "Loaded image: localhost/app:1\n", "skopeo-oci": "Loaded image: localhost/app:1\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := emptyStore(t)
			got := strings.Split(strings.TrimSpace(ok(t, s, "load", "-i", file(name))), "\n")
			slices.Sort(got)
			if got := strings.Join(got, "\n") + "\n"; got != want {
				t.Errorf("printed %q, want %q", got, want)
			}
			sound(t, s)
			img, err := s.Resolve("localhost/app:1")
			if err != nil {
				t.Fatal(err)
			}
			// Docker's format has a different configuration from OCI's, and so
			// a different ID.
			if strings.HasSuffix(name, "-oci") && name != "skopeo-oci" && img.ID != id {
				t.Errorf("ID %s, want %s", img.ID, id)
			}
			if dirs, err := snapshot.Dirs(t.Context(), s.Store, img); err != nil || len(dirs) == 0 {
				t.Errorf("%q, %v", dirs, err)
			}
		})
	}
}

// umoci's layouts are those of the OCI's own tools.
func TestUmoci(t *testing.T) {
	p := newPeers(t, "umoci", "skopeo", "docker-registry")
	layout := p.dir + "/layout"
	p.run("umoci", "init", "--layout", layout)
	p.run("umoci", "new", "--image", layout+":x")
	p.run("umoci", "unpack", "--image", layout+":x", p.dir+"/bundle")
	p.run("sh", "-ec", `mkdir -p "$1/etc"; echo 1 >"$1/etc/a"; mkfifo "$1/fifo"; ln "$1/etc/a" "$1/b"`, "sh", p.dir+"/bundle/rootfs")
	p.run("umoci", "repack", "--image", layout+":x", p.dir+"/bundle")
	p.run("umoci", "config", "--image", layout+":x", "--config.cmd", "/bin/sh", "--os", "linux", "--architecture", image.HostPlatform().Architecture)
	tag := p.registry + "/umoci:1"
	p.run("skopeo", "copy", "-q", "--dest-tls-verify=false", "oci:"+layout+":x", "docker://"+tag)
	p.run("skopeo", "copy", "-q", "oci:"+layout+":x", "oci-archive:"+p.dir+"/x.tar:umoci:2")
	s := emptyStore(t)
	ok(t, s, "pull", "-q", tag)
	ok(t, s, "load", "-i", p.dir+"/x.tar")
	one, err1 := s.Resolve(tag)
	two, err2 := s.Resolve("umoci:2")
	if err1 != nil || err2 != nil || one.ID != two.ID {
		t.Errorf("%v, %v", err1, err2)
	}
	sound(t, s)

	// And back: umoci unpacks an image from our store.
	ok(t, s, "save", "-o", p.dir+"/ours.tar", "umoci:2")
	p.run("skopeo", "copy", "-q", "oci-archive:"+p.dir+"/ours.tar", "oci:"+p.dir+"/ours:y")
	p.run("umoci", "unpack", "--image", p.dir+"/ours:y", p.dir+"/again")
	if _, err := os.Stat(p.dir + "/again/rootfs/etc/a"); err != nil {
		t.Error(err)
	}
}
