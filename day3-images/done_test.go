package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
)

// The chapter in one test: an image made by buildah comes from a registry, runs
// with a limit and a volume, is changed, committed and saved, and skopeo and
// the registry accept the result.
func TestWholeWay(t *testing.T) {
	kernelTest(t)
	p := newPeers(t, "buildah", "skopeo", "docker-registry")
	tree := p.dir + "/tree"
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	unpackInto(t, tree, testkit.Tar(t, busyboxFiles(t)...))
	c := p.run("buildah", "from", "scratch")
	p.run("buildah", "copy", "-q", c, tree, "/")
	p.run("buildah", "config", "--env", "A=1", "--workingdir", "/tmp", "--user", "web", "--cmd", "'id -un'", "--entrypoint", `["/bin/sh","-c"]`, "--volume", "/scratch", c)
	p.run("buildah", "commit", "-q", "--rm", c, "app")
	tag := p.registry + "/app:1"
	p.run("buildah", "push", "-q", "--tls-verify=false", "app", "docker://"+tag)

	s, data := emptyStore(t), t.TempDir()
	if err := os.Chmod(data, 0o777); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *exec.Cmd { // the registry runs as well: no program(t)
		return onStore(s, append([]string{"run", "--cgroup-parent", testParent}, args...)...)
	}
	ok(t, s, "pull", "-q", tag)
	if got := finish(t, run("--rm", tag)); got != (outcome{0, "web\n", ""}) {
		t.Errorf("%+q", got)
	}
	// More than once, because a signal, or a freezer, cuts a read of /dev/zero short.
	if got := finish(t, run("--rm", "-m", "20m", tag, "dd if=/dev/zero of=/dev/null bs=60M count=9")); got.status != 137 {
		t.Errorf("over its limit: %+q", got)
	}
	script := "echo $A $PWD >/data/from; echo no >/scratch/x; cd /etc; rm group; echo changed >motd; ln motd again; mkdir -m 700 /new; echo 1 >/new/file"
	got := finish(t, run("--name", "worker", "-m", "20m", "-u", "0", "-v", data+":/data", tag, script))
	if got != (outcome{0, "", ""}) {
		t.Fatalf("%+q", got)
	}
	if text := readFile(t, data+"/from"); text != "1 /tmp" {
		t.Errorf("%q", text)
	}
	ok(t, s, "commit", "-c", "USER root", "-c", `CMD ["cat /new/file"]`, "worker", "app:2")
	ok(t, s, "rm", "worker")
	sound(t, s)

	for _, format := range []string{"docker-archive", "oci-archive"} {
		file := p.dir + "/" + format + ".tar"
		ok(t, s, "save", "-o", file, "app:2")
		if layers := p.run("skopeo", "inspect", "--format", "{{len .Layers}}", format+":"+file); layers != "2" {
			t.Errorf("%s: %s layers, want 2", format, layers)
		}
		p.run("skopeo", "copy", "-q", "--dest-tls-verify=false", format+":"+file, "docker://"+p.registry+"/app:"+format)
		ok(t, s, "rmi", "-f", "app:2")
		ok(t, s, "pull", "-q", p.registry+"/app:"+format)
		again := p.registry + "/app:" + format
		if got := finish(t, run("--rm", again)); got != (outcome{0, "1\n", ""}) {
			t.Errorf("%+q", got)
		}
		got := finish(t, run("--rm", again, "cat /etc/again; ls -A /scratch; ls /etc/group"))
		if got.stdout != "changed\n" || !strings.Contains(got.stderr, "/etc/group: No such file") {
			t.Errorf("%+q", got)
		}
		ok(t, s, "load", "-i", file)
	}
	sound(t, s)
}

// unpackInto makes files of a tar, with their owners and modes.
func unpackInto(t testing.TB, dir string, content []byte) {
	t.Helper()
	cmd := exec.Command("tar", "-xpf", "-", "-C", dir)
	cmd.Stdin = strings.NewReader(string(content))
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}
