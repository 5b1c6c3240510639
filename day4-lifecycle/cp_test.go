package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// facts lists a tree: kinds, modes, owners, sizes, targets.
const facts = `cd "$0" && find . -exec stat -c '%n %F %a %u:%g %s' {} \; | sort; find . -type l -exec readlink {} \;; find . -type f -exec cat {} \;`

func hostFacts(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", facts, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// A tree goes in and comes out unchanged, whether the container is running or
// not.
func TestCpRoundTrip(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	script := `mkdir -p tree/sub/empty && cd tree && echo hello >file && chmod 640 file && ln -s ../file sub/link && ln -s /etc/passwd absolute &&
ln file hard && mkfifo fifo && echo '#!/bin/sh' >run && chmod 755 run && chmod 1777 sub && touch "a name with 'quotes'
and a line feed" && touch -d 2020-01-02 file`
	if out, err := exec.Command("sh", "-c", "umask 022; cd "+dir+" && "+script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := hostFacts(t, dir+"/tree")
	w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
	for i, state := range []string{"running", "stopped"} {
		if state == "stopped" {
			w.ok("stop", "-t", "0", "web")
		}
		in, out := "/tmp/in"+string(rune('0'+i)), filepath.Join(dir, "out"+state)
		w.ok("cp", dir+"/tree", "web:"+in)    // a new name
		w.ok("cp", dir+"/tree/", "web:/tmp/") // into a directory
		w.ok("cp", "web:"+in, out)
		w.ok("cp", "web:/tmp/tree/.", filepath.Dir(out)+"/tree") // over existing files
		if got := hostFacts(t, out); got != want {
			t.Errorf("%s: out came\n%s\nand in went\n%s", state, got, want)
		}
		if got := hostFacts(t, dir+"/tree"); got != want {
			t.Errorf("%s: copied over itself\n%s\nis not\n%s", state, got, want)
		}
		if info, err := os.Stat(out + "/file"); err != nil || info.ModTime().Year() != 2020 {
			t.Errorf("%v, %v", info, err)
		}
		w.ok("cp", "web:/etc/passwd", dir+"/passwd")
		w.ok("cp", dir+"/passwd", "web:/tmp/other")
		stream := w.do("cp", "web:/tmp/other", "-")
		h, err := tar.NewReader(strings.NewReader(stream.stdout)).Next()
		if err != nil || h.Name != "other" {
			t.Errorf("%v, %v, %s", h, err, stream.stderr)
		}
		back := w.command("cp", "-", "web:/home")
		back.Stdin = strings.NewReader(stream.stdout)
		if got := w.finish(back); got != (outcome{}) {
			t.Errorf("%+q", got)
		}
		w.ok("cp", "web:/home/other", dir+"/again")
		if w.read(dir+"/again") != w.read(dir+"/passwd") {
			t.Error("the archive's file is another")
		}
	}
	w.ok("start", "web")
	if got := w.ok("exec", "web", "cat", "/tmp/in1/file"); got != "hello" {
		t.Errorf("copied in while it was stopped: %q", got)
	}
}

// Whatever is in a container or an archive, nothing is read or written outside.
func TestCpEscapes(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 30)
	w.ok("run", "-d", "--name", "web", "box", "sh", "-c", "mkdir -p "+dir+" /evil; ln -s "+secret+" /evil/absolute; ln -s "+up+secret[1:]+" /evil/relative; ln -s "+up+" /evil/up; ln -s "+dir+" /evil/dir; ln -s / /evil/root; touch /evil/set; chmod 4755 /evil/set; sleep 1000")
	w.until("it is ready", func() bool { return w.do("exec", "web", "test", "-u", "/evil/set").status == 0 })
	for _, path := range []string{"/evil/up" + secret, "/evil/root" + secret, up + secret[1:], "/evil/dir/secret", "/proc/1/root" + secret, "/proc/1/cwd" + secret} {
		w.fails(1, "", "cp", "web:"+path, dir+"/stolen")
	}
	for _, path := range []string{"/evil/absolute", "/evil/relative"} {
		w.fails(1, "", "cp", "-L", "web:"+path, dir+"/stolen")
		w.ok("cp", "web:"+path, dir+"/link")
		if link, err := os.Readlink(dir + "/link"); err != nil || !strings.HasSuffix(link, "secret") {
			t.Errorf("%s: %q, %v", path, link, err)
		}
		os.Remove(dir + "/link")
	}
	for _, path := range []string{"/evil/dir/written", "/evil/up" + dir + "/written", "/evil/root" + dir + "/written", up + dir[1:] + "/written"} {
		w.ok("cp", "/etc/hostname", "web:"+path)
	}
	if names, _ := filepath.Glob(dir + "/*"); len(names) != 1 {
		t.Errorf("on the host there are %q", names)
	}
	if got := w.ok("exec", "web", "ls", dir); got != "written" {
		t.Errorf("in the container there is %q", got)
	}
	// setuid is kept only if asked for.
	w.ok("cp", "web:/evil/set", dir+"/set")
	if info, err := os.Stat(dir + "/set"); err != nil || info.Mode()&os.ModeSetuid != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	w.ok("cp", "-a", "web:/evil/set", dir+"/set")
	if info, err := os.Stat(dir + "/set"); err != nil || info.Mode()&os.ModeSetuid == 0 {
		t.Errorf("-a: %v, %v", info.Mode(), err)
	}
	// A link in the way is not followed.
	w.ok("exec", "web", "sh", "-c", "mkdir -p /tree/sub; echo x >/tree/sub/file")
	if err := os.MkdirAll(dir+"/target/tree", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, dir+"/target/tree/sub"); err != nil {
		t.Fatal(err)
	}
	w.fails(1, "", "cp", "web:/tree", dir+"/target")
	if _, err := os.Stat(dir + "/file"); err == nil {
		t.Error("written through a link")
	}
	for name, headers := range map[string][]*tar.Header{
		"dots":           {{Name: "../../../../../../../../.." + dir + "/x", Mode: 0o644}},
		"absolute":       {{Name: dir + "/x", Mode: 0o644}},
		"through a link": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: dir}, {Name: "l/x", Mode: 0o644}},
		"a hard link":    {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../../../etc/passwd"}},
	} {
		var archive bytes.Buffer
		out := tar.NewWriter(&archive)
		for _, h := range headers {
			if err := out.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := w.command("cp", "-", "web:/tmp")
		cmd.Stdin = &archive
		if got := w.finish(cmd); got.status != 1 || !oneError.MatchString(got.stderr) {
			t.Errorf("%s: %+q", name, got)
		}
	}
	if _, err := os.Stat(dir + "/x"); err == nil {
		t.Error("an archive has written on the host")
	}
}

// A container that swaps a directory for a link while it is copied cannot get
// anything from outside into the copy (CVE-2018-15664).
func TestCpRace(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/secret", []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.ok("run", "-d", "--name", "web", "box", "sh", "-c", "mkdir -p /a"+dir+" /real /real"+dir+"; echo inside >/a"+dir+"/secret; while :; do ln -s / /swap; rm /swap; mkdir /swap; rm -r /swap; done")
	end := time.Now().Add(time.Duration(times(20)) * 100 * time.Millisecond)
	for i := 0; time.Now().Before(end); i++ {
		target := filepath.Join(dir, "copy")
		_ = w.do("cp", "web:/swap"+dir+"/secret", target)
		_ = w.do("cp", "/etc/hostname", "web:/swap"+dir+"/planted")
		if text, err := os.ReadFile(target); err == nil && string(text) == "of the host" {
			t.Fatal("copied a file of the host")
		}
		if _, err := os.Stat(dir + "/planted"); err == nil {
			t.Fatal("written on the host")
		}
	}
}

func TestCpRefused(t *testing.T) {
	w := newWorld(t)
	w.ok("create", "--name", "web", "-v", "/srv:/data", "box", "true")
	for _, test := range []struct {
		status int
		word   string
		args   string
	}{
		{1, "requires two paths", "web:/x"},
		{1, "between the host and one container", "/a /b"},
		{1, "between the host and one container", "web:/a web:/b"},
		{1, "no such container", "nobody:/x /tmp"},
		{1, "no such file", "web:/none /tmp"},
		{1, "no such file", "/none/here web:/tmp"},
		{1, "no such file", "/etc/hostname web:/no/dir"},
		{1, "no such directory", "/etc/hostname web:/none/"},
		{1, "directory", "/etc web:/etc/passwd"},
		{1, "not a directory", "/etc/hostname web:/etc/passwd/"},
		{1, "is in the volume", "web:/data/x /tmp"},
		{1, "names no path", "web: /tmp"},
	} {
		w.fails(test.status, test.word, append([]string{"cp"}, strings.Fields(test.args)...)...)
	}
	w.fails(1, "no path on the host", "cp", "", "web:/x") // and not everything in the working directory
	w.fails(1, "no path on the host", "cp", "web:/bin", "")
	// A device such as the machine's /dev/null stays as it is, whether it is
	// the target or is met on the way.
	null := t.TempDir() + "/passwd"
	if err := unix.Mknod(null, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	w.fails(1, "a device", "cp", "web:/etc/passwd", null)
	w.fails(1, "a device", "cp", "web:/etc/.", filepath.Dir(null))
	if info, err := os.Lstat(null); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("the device is now %v, %v", info, err)
	}
}

// The output of export can be imported, and has only the container's own files:
// no /proc, no volumes. It is the same whether the container is running or not.
func TestExport(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/hosts-file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w.ok("run", "-d", "--name", "web", "-v", dir+":/data", "box", "sh", "-c", "echo mine >/own; ln -s own /link; chown ann /own; chmod 4711 /own; rm /bin/seq; echo up; sleep 1000")
	w.says("web", "up")
	w.ok("export", "-o", dir+"/running.tar", "web")
	w.ok("stop", "-t", "0", "web")
	w.ok("export", "-o", dir+"/stopped.tar", "web")
	for _, name := range []string{"running", "stopped"} {
		w.ok("import", dir+"/"+name+".tar", name)
		got := w.ok("run", "--rm", name, "sh", "-c", "cat /link; stat -c '%a %U' /own; ls /data | wc -l; test -e /bin/seq || echo gone; test -d /proc && echo proc")
		if got != "mine\n4711 ann\n0\ngone\nproc" {
			t.Errorf("%s: %q", name, got)
		}
		if names := tarNames(t, dir+"/"+name+".tar"); strings.Contains(names, "proc/1") || strings.Contains(names, "hosts-file") {
			t.Errorf("%s has %s", name, names)
		}
	}
	w.fails(1, "no such container", "export", "nobody")
}

// Whoever removes the container meanwhile takes files away: what has come by
// then must not pass for all of them.
func TestExportWhileRemoving(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "box", "sh", "-c", "mkdir /a; dd if=/dev/zero of=/a/1 bs=1M count=4 2>/dev/null; echo x >/a/2; echo up; sleep 1000")
	w.says("web", "up")
	export := w.command("export", "web")
	var complaint bytes.Buffer
	export.Stderr = &complaint
	out, err := export.StdoutPipe()
	if err == nil {
		err = export.Start()
	}
	if err == nil { // then it is in /a/1, and waits for us
		_, err = io.CopyN(io.Discard, out, 1<<20)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.ok("rm", "-f", "web")
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := export.Wait(); err == nil || !strings.Contains(complaint.String(), "no such container") {
		t.Errorf("%v: %s", err, complaint.String())
	}
}

func tarNames(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("tar", "-tf", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
