package steps_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// emptyDir is a directory that an overlay's upper can be on: /tmp may be on an overlay.
func emptyDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	mountFor(t, dir)
	return dir
}

// mountFor puts an empty tmpfs there, for the tests' mount namespace and as long as the test runs.
func mountFor(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// ok runs a rung that has to end with 0 and leave nothing.
func ok(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	got := run(t, cmd)
	got.ends(t, 0)
	return got
}

// refused runs a rung that has to end with one line that says why; if that is the box, our side of it adds another.
func refused(t *testing.T, cmd *exec.Cmd, why string) {
	t.Helper()
	got := run(t, cmd)
	got.ends(t, 1)
	if !regexp.MustCompile(`^error: .*` + why + `.*\n(error: exit status 1\n)?$`).MatchString(got.out) {
		t.Errorf("no line with %q, but\n%s", why, got.out)
	}
}

// in has the command run there: what it is given are then paths below dir.
func in(dir string, cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = dir
	return cmd
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return st
}

func whiteout(t *testing.T, path string) bool {
	t.Helper()
	st := stat(t, path)
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// draw writes a tree as text, a line for each file: all that a program could have changed about it, but for times.
func draw(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st := stat(t, path)
		content, _ := os.Readlink(path)
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			content = fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, path))))
		}
		opaque := make([]byte, 8)
		n, _ := unix.Lgetxattr(path, "trusted.overlay.opaque", opaque)
		fmt.Fprintf(&all, "%s %o %d:%d %d %d %q %s\n", strings.TrimPrefix(path, dir), st.Mode, st.Uid, st.Gid, st.Rdev, st.Nlink, opaque[:max(n, 0)], content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// tool is whether this machine has one of other people's programs; where GO_DOCKER_MUST_RUN=1 it has to, unless it is
// one of the guests of scripts/vm, which have none.
func tool(t *testing.T, name string) bool {
	t.Helper()
	_, err := exec.LookPath(name)
	if err != nil && os.Getenv("GO_DOCKER_MUST_RUN") == "1" && os.Getenv("GO_DOCKER_VM") == "" {
		t.Fatalf("%v, and GO_DOCKER_MUST_RUN=1 does not let it be missing", err)
	}
	return err == nil
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// inHost is whether the output of ls has the names that the machine's root has.
func inHost(t *testing.T, listed string) bool {
	t.Helper()
	found := strings.Fields(listed)
	for _, name := range strings.Fields(names(t, "/")) {
		if !strings.HasPrefix(name, ".") && !slices.Contains(found, name) {
			return false
		}
	}
	return true
}

func TestShellSteps(t *testing.T) {
	needRoot(t)
	const box = "bin   old   proc"

	got := ok(t, rung(t, "01-chroot.sh"))
	if ls := got.after(t, "$ chroot . ls -x /"); ls != box {
		t.Errorf("the new root has %q", ls)
	}
	if ls := got.after(t, "# chroot . chroot /proc/1/root ls -x /"); !inHost(t, ls) {
		t.Errorf("not out of the chroot: %q", ls)
	}
	if mounts := got.after(t, "# cut -d ' ' -f 5 /proc/self/mountinfo"); mounts != "/\n/proc" {
		t.Errorf("mounts after pivot_root: %q", mounts)
	}
	if ls := got.after(t, "# chroot /proc/1/root ls -x /"); ls != box {
		t.Errorf("the same way out leads to %q after pivot_root", ls)
	}
	if got := run(t, rung(t, "01-chroot.sh", t.TempDir())); got.status == 0 {
		t.Error("it has used a directory that was there")
	}

	got = ok(t, rung(t, "02-overlay.sh"))
	for command, want := range map[string]string{
		"# ls -x merged":             "box  change  doomed  old",
		"# ls upper | wc -l":         "0",
		"# cat lower/change":         "from lower",
		"# cat upper/change":         "from lower\nfrom the container",
		"# ls -A merged/box | wc -l": "0",
		"# ls -R -x lower":           "lower:\nbox  change  doomed  old\n\nlower/box:\ninside",
	} {
		if printed := got.after(t, command); printed != want {
			t.Errorf("%s prints %q, not %q", command, printed, want)
		}
	}
	got.has(t, `^c--------- .* 0, 0 .* upper/doomed$`, `^c--------- .* 0, 0 .* old$`, `^-rw-r--r-- .* new$`)

	got = ok(t, rung(t, "03-layers.sh"))
	for command, want := range map[string]string{
		"# ls -A -x plain":      ".wh.doomed  doomed  greeting", // the fault of tar alone
		"# ls -A -x merged":     "greeting",
		"# cat merged/greeting": "from layer 2",
	} {
		if printed := got.after(t, command); printed != want {
			t.Errorf("%s prints %q, not %q", command, printed, want)
		}
	}
	sums := regexp.MustCompile(`(?m)^[0-9a-f]{64}`).FindAllString(got.out, -1)
	if len(sums) != 3 || sums[0] == sums[1] || sums[1] != sums[2] {
		t.Errorf("the digest, and twice the diff ID: %q", sums)
	}

	got = ok(t, rung(t, "04-layout.sh"))
	if n := len(regexp.MustCompile(`(?m)^[0-9a-f]{64}: OK$`).FindAllString(got.out, -1)); n != 4 {
		t.Errorf("%d blobs have the digest that they are called by, not 4:\n%s", n, got.out)
	}
	if tool(t, "skopeo") {
		layout := makeLayout(t)
		if n := strings.Count(output(t, "skopeo", "inspect", "oci:"+layout), "sha256:"); n != 3 { // the manifest, 2 layers
			t.Errorf("skopeo finds %d digests", n)
		}
	}
}

// makeRoot is what 01-chroot.sh makes for steps 5 to 7.
func makeRoot(t *testing.T) string {
	t.Helper()
	root := filepath.Join(emptyDir(t), "root")
	ok(t, rung(t, "01-chroot.sh", root))
	return root
}

// makeLayout is what 04-layout.sh makes for steps 9 and 10.
func makeLayout(t *testing.T) string {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "oci")
	ok(t, rung(t, "04-layout.sh", layout))
	return layout
}

// Step 5 and its fault, and that step 6 does not have it.
func TestChrootAndPivot(t *testing.T) {
	needRoot(t)
	root := makeRoot(t)
	for _, step := range []string{"05-chroot", "06-pivot"} {
		got := ok(t, rung(t, step, root, "sh", "-c", "hostname; echo $$; ls -x /; echo /proc/[0-9]*; pwd"))
		if got.out != "box\n1\nbin   old   proc\n/proc/1\n/\n" {
			t.Errorf("%s: %q", step, got.out)
		}
		refused(t, rung(t, step, root), "usage: .* ROOT COMMAND")
		refused(t, rung(t, step, root, "no-such-program"), "not found")
		// When there is no root, nothing runs: least of all with the machine's.
		refused(t, rung(t, step, root+"/none", "echo", "on the machine"), "no such file")
		refused(t, rung(t, step, root+"/bin/busybox", "echo", "on the machine"), "not a directory")
	}

	out := []string{"nsenter", "-t", "1", "-m", "ls", "-x", "/"}
	got := ok(t, rung(t, "05-chroot", append([]string{root}, out...)...))
	if !inHost(t, got.out) {
		t.Errorf("the fault does not show: the way out of the chroot leads to %q", got.out)
	}
	got = ok(t, rung(t, "06-pivot", append([]string{root}, out...)...))
	if got.out != "bin   old   proc\n" {
		t.Errorf("the way out of the chroot leads to %q after pivot_root", got.out)
	}
	got = ok(t, rung(t, "06-pivot", root, "cut", "-d", " ", "-f", "5", "/proc/self/mountinfo"))
	if got.out != "/\n/proc\n" {
		t.Errorf("mounts in the box: %q", got.out)
	}

	// The fault of step 6.
	ok(t, rung(t, "06-pivot", root, "touch", "/left"))
	ok(t, rung(t, "06-pivot", root, "ls", "/left"))
	if _, err := os.Stat(root + "/left"); err != nil {
		t.Errorf("the fault does not show: %v", err)
	}
}

func TestOverlay(t *testing.T) {
	needRoot(t)
	root, dir := makeRoot(t), emptyDir(t)
	put(t, dir+"/top/etc/motd", "top\n")
	if err := os.Remove(root + "/proc"); err != nil {
		t.Fatal(err)
	}
	layers, before := dir+"/top:"+root, draw(t, root)+draw(t, dir+"/top")
	got := ok(t, rung(t, "07-overlay", layers, dir+"/one", "sh", "-c",
		"cat /etc/motd; echo changed >/etc/motd; rm /bin/vi; echo new >/new; mv /old /older; echo /proc/[0-9]*"))
	if got.out != "top\n/proc/1\n" {
		t.Errorf("%q", got.out)
	}
	if after := draw(t, root) + draw(t, dir+"/top"); after != before {
		t.Errorf("the layers have changed. Before:\n%s\nafter:\n%s", before, after)
	}
	if upper := dir + "/one/upper"; read(t, upper+"/etc/motd") != "changed\n" || !whiteout(t, upper+"/bin/vi") ||
		!whiteout(t, upper+"/old") || read(t, upper+"/new") != "new\n" {
		t.Errorf("in upper is\n%s", draw(t, upper))
	}
	// A second box on the same layers sees nothing of it; the first one, run again, all.
	got = ok(t, rung(t, "07-overlay", layers, dir+"/two", "sh", "-c", "cat /etc/motd; ls /bin/vi /new; true"))
	got.has(t, `^top$`, `^/bin/vi$`, `^ls: /new: No such file`)
	got = ok(t, rung(t, "07-overlay", layers, dir+"/one", "sh", "-c", "cat /etc/motd /new; ls -d /bin/vi /older; true"))
	got.has(t, `^changed\nnew\n`, `^ls: /bin/vi: No such file`, `^/older$`)
	// Two at once; and their overlays are in their own mount namespaces, not here.
	two := rung(t, "07-overlay", layers, dir+"/two", "sh", "-c", "echo ready; read line; ls /mine; cat /etc/motd")
	goOn, err := two.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, two)
	p.until(t, "ready")
	ok(t, rung(t, "07-overlay", layers, dir+"/one", "touch", "/mine"))
	if names(t, dir+"/one/root")+names(t, dir+"/two/root") != "" {
		t.Error("an overlay is mounted here, too")
	}
	goOn.Close()
	got = p.wait(t)
	got.ends(t, 0)
	got.clean(t)
	got.has(t, `^ready\nls: /mine: No such file or directory\ntop\n`)

	// The fault: a layer as it comes.
	put(t, dir+"/layer.tar", makeTar(t, file("etc/motd", "x")))
	refused(t, rung(t, "07-overlay", dir+"/layer.tar:"+root, dir+"/three", "echo", "on the machine"), "(not a directory|invalid argument)") // the kernel says one or the other
	refused(t, rung(t, "07-overlay", layers, dir+"/one"), "usage: .* BOX COMMAND")
}

// An entry of a tar.
type entry struct {
	tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content}
}
func folder(name string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}
func symlink(name, to string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}, ""}
}
func hardlink(name, to string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}, ""}
}

func (e entry) mode(mode int64) entry { e.Mode = mode; return e }
func (e entry) owner(id int) entry    { e.Uid, e.Gid = id, id; return e }

func makeTar(t *testing.T, entries ...entry) string {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		err := w.WriteHeader(&e.Header)
		if err == nil {
			_, err = w.Write([]byte(e.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.String()
}

// unpack runs step 8 or 11.
func unpack(t *testing.T, step, dir, layer string) result {
	t.Helper()
	cmd := rung(t, step, dir)
	cmd.Stdin = strings.NewReader(layer)
	return run(t, cmd)
}

// Both unpackers make the same of a layer that means no harm.
func TestUnpack(t *testing.T) {
	needRoot(t)
	layer := makeTar(t,
		folder("./"), folder("etc/"), file("etc/motd", "hello").mode(0o600).owner(7), file("no/dir/above", "x"),
		file("bin/su", "x").mode(0o4755).owner(8), hardlink("bin/su2", "bin/su"), symlink("lib", "usr/lib").owner(9),
		folder("tmp").mode(0o1777), file("etc/.wh.doomed", ""), folder("box"), file("box/.wh..wh..opq", ""))
	drawn := ""
	for _, step := range []string{"08-whiteouts", "11-hostile"} {
		dir := emptyDir(t)
		got := unpack(t, step, dir+"/layer", layer)
		got.ends(t, 0)
		if got.out != "" {
			t.Errorf("%s: %q", step, got.out)
		}
		in := dir + "/layer/"
		if !whiteout(t, in+"etc/doomed") {
			t.Errorf("%s: etc/doomed is no whiteout", step)
		}
		if st := stat(t, in+"bin/su"); st.Mode != unix.S_IFREG|0o4755 || st.Uid != 8 || st.Ino != stat(t, in+"bin/su2").Ino {
			t.Errorf("%s: bin/su: mode %o, uid %d", step, st.Mode, st.Uid)
		}
		opaque := make([]byte, 8)
		if n, err := unix.Lgetxattr(in+"box", "trusted.overlay.opaque", opaque); err != nil || string(opaque[:n]) != "y" {
			t.Errorf("%s: box is not opaque: %q, %v", step, opaque, err)
		}
		if now := draw(t, dir+"/layer"); drawn == "" {
			drawn = now
		} else if now != drawn {
			t.Errorf("step 8 makes\n%s\nand step 11\n%s", drawn, now)
		}
		refused(t, rung(t, step), "usage: .* DIR <LAYER.tar")
		if got := unpack(t, step, dir+"/fifo", makeTar(t, entry{tar.Header{Name: "f", Typeflag: tar.TypeFifo}, ""})); got.status != 1 {
			t.Errorf("%s: a fifo: %d, %q", step, got.status, got.out)
		}
		got = unpack(t, step, dir+"/short", layer[:2048+300])
		got.ends(t, 1)
		got.has(t, `^error: unexpected EOF$`)
	}
}

// A layer as any distribution has it: behind its own link the naive program is on the machine, whose /run is the
// tests' own here. The next one is not.
func TestHarmlessLink(t *testing.T) {
	needRoot(t)
	dir := emptyDir(t)
	mountFor(t, "/run")
	layer := makeTar(t, folder("run"), folder("var"), symlink("var/run", "/run"), file("var/run/app.pid", "1"))
	unpack(t, "08-whiteouts", dir+"/naive", layer).ends(t, 0)
	if names(t, "/run") != "app.pid" || names(t, dir+"/naive/run") != "" {
		t.Errorf("the fault does not show: /run has %q, the layer's has %q", names(t, "/run"), names(t, dir+"/naive/run"))
	}
	if err := os.Remove("/run/app.pid"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	unpack(t, "11-hostile", dir+"/held", layer).ends(t, 0)
	if names(t, "/run") != "" || names(t, dir+"/held/run") != "app.pid" {
		t.Errorf("/run has %q, the layer's has %q", names(t, "/run"), names(t, dir+"/held/run"))
	}
}

// Layers that mean harm. "outside" is a directory beside the one that is unpacked to, with a file "canary".
func TestHostile(t *testing.T) {
	needRoot(t)
	for name, layer := range map[string]struct {
		entries func(outside string) []entry
		escapes bool   // from step 8
		becomes string // of step 11, if not refused: PATH=CONTENT
	}{
		"dots":          {func(string) []entry { return []entry{file("../outside/canary", "x")} }, true, "outside/canary=x"},
		"absolute":      {func(o string) []entry { return []entry{file(o+"/canary", "x")} }, false, "OUT/canary=x"},
		"absolute link": {func(o string) []entry { return []entry{folder(o), symlink("l", o), file("l/new", "x")} }, true, "OUT/new=x"},
		"relative link": {func(string) []entry {
			return []entry{folder("outside"), symlink("l", "../outside"), file("l/new", "x")}
		}, true, "outside/new=x"},
		"dangling link": {func(string) []entry { return []entry{symlink("l", "../outside"), file("l/new", "x")} }, true, ""},
		"two links": {func(string) []entry {
			return []entry{folder("outside"), folder("a"), symlink("a/b", ".."), symlink("c", "a/b/.."), file("c/outside/new", "x")}
		}, true, "outside/new=x"},
		"over a link":    {func(o string) []entry { return []entry{symlink("l", o+"/canary"), file("l", "x")} }, true, "l=x"},
		"hard link":      {func(string) []entry { return []entry{hardlink("h", "../outside/canary"), file("h", "x")} }, true, ""},
		"hard link, abs": {func(o string) []entry { return []entry{hardlink("h", o+"/canary"), file("h", "x")} }, false, ""},
		"link, hard":     {func(o string) []entry { return []entry{symlink("l", o), hardlink("h", "l/canary"), file("h", "x")} }, true, ""},
		"hard to a link": {func(o string) []entry { return []entry{symlink("l", o+"/canary"), hardlink("h", "l"), file("h", "x")} }, true, "h=x"},
		"whiteout":       {func(o string) []entry { return []entry{symlink("l", o), file("l/.wh.new", "")} }, true, ""},
		"whiteout of ..": {func(string) []entry { return []entry{file("a/.wh...", "")} }, false, ""},
		"opaque":         {func(o string) []entry { return []entry{symlink("l", o), file("l/.wh..wh..opq", "")} }, true, ""},
		"mode": {func(o string) []entry {
			return []entry{symlink("l", o), folder("l").mode(0o4777).owner(7), file("l/new", "x")}
		}, true, "l/new=x"},
		"swapped": {func(o string) []entry {
			return []entry{folder("a"), file("a/x", ""), symlink("a", o), file("a/new", "x")}
		}, false, ""},
		"link loop": {func(string) []entry { return []entry{symlink("a", "b"), symlink("b", "a"), file("a/x", "")} }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, step := range []string{"08-whiteouts", "11-hostile"} {
				dir := emptyDir(t)
				outside := dir + "/outside"
				put(t, outside+"/canary", "alive")
				before := draw(t, outside)
				got := unpack(t, step, dir+"/layer", makeTar(t, layer.entries(outside)...))
				escaped := draw(t, outside) != before || strings.Trim(names(t, dir), " ") != "layer outside" && names(t, dir) != "outside"
				if escapes := layer.escapes && step == "08-whiteouts"; escaped != escapes {
					t.Errorf("%s: outside is %v, want %v: %s\n%s", step, escaped, escapes, names(t, dir), draw(t, outside))
				}
				if step != "11-hostile" {
					continue
				}
				if layer.becomes == "" {
					got.ends(t, 1)
				}
				if path, content, is := strings.Cut(strings.ReplaceAll(layer.becomes, "OUT", outside), "="); is {
					got.ends(t, 0)
					if made := read(t, filepath.Join(dir, "layer", path)); made != content {
						t.Errorf("%s is %q", path, made)
					}
				}
			}
		})
	}
}
