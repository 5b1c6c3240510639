package steps_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// blobs are the files of a layout that have a digest for a name.
func blobs(t *testing.T, layout string) []string {
	t.Helper()
	all, err := filepath.Glob(layout + "/blobs/sha256/*")
	if err != nil || len(all) == 0 {
		t.Fatalf("blobs: %q, %v", all, err)
	}
	return all
}

// putImage makes a layout of one layer, which is compressed if diffID is not its digest.
func putImage(t *testing.T, layer []byte, diffID string) (layout string) {
	t.Helper()
	layout = t.TempDir()
	add := func(kind string, content []byte) string {
		sum := fmt.Sprintf("%x", sha256.Sum256(content))
		put(t, layout+"/blobs/sha256/"+sum, string(content))
		return fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%d}`, kind, sum, len(content))
	}
	kind := "layer.v1.tar"
	if bytes.HasPrefix(layer, []byte("\x1f\x8b")) {
		kind += "+gzip"
	}
	config := add("config.v1+json", fmt.Appendf(nil, `{"rootfs":{"type":"layers","diff_ids":[%s]},"os":"linux"}`, diffID))
	manifest := add("manifest.v1+json", fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s]}`, config, add(kind, layer)))
	put(t, layout+"/index.json", `{"schemaVersion":2,"manifests":[`+manifest+`]}`)
	put(t, layout+"/oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	return layout
}

func digest(content string) string { return fmt.Sprintf(`"sha256:%x"`, sha256.Sum256([]byte(content))) }

func TestImage(t *testing.T) {
	needRoot(t)
	layout, dir := makeLayout(t), emptyDir(t)
	got := ok(t, in(dir, rung(t, "09-image", layout, "layers")))
	if got.out != "layers/1:layers/0\n" || names(t, dir+"/layers/0") != "bin old proc" || names(t, dir+"/layers/1") != "bin etc" ||
		!whiteout(t, dir+"/layers/1/bin/vi") || read(t, dir+"/layers/1/etc/motd") != "Hello from layer 2\n" {
		t.Errorf("%q\n%s", got.out, draw(t, dir+"/layers"))
	}
	refused(t, rung(t, "09-image", layout), "usage: .* LAYOUT DIR")
	refused(t, rung(t, "09-image", dir, dir+"/x"), "index.json: no such file")

	// Whichever file is damaged: of its layer nothing is unpacked.
	for _, path := range blobs(t, layout) {
		whole := read(t, path)
		damaged := []byte(whole)
		damaged[len(whole)/2] ^= 1
		for i, bad := range []string{string(damaged), whole[:len(whole)-1], whole + "\n", ""} {
			put(t, path, bad)
			to := fmt.Sprintf("%s/damaged.%s.%d", dir, filepath.Base(path), i)
			refused(t, rung(t, "09-image", layout, to), "damaged: what should be sha256:"+filepath.Base(path))
			if made, err := os.ReadDir(to); err == nil && len(made) == 2 {
				t.Errorf("%s: both layers are there", path)
			}
		}
		put(t, path, whole)
	}
	// Every digest is right, but the layer is another than the configuration says; or they have not as many.
	layer := makeTar(t, file("etc/motd", "hello"))
	ok(t, rung(t, "09-image", putImage(t, []byte(layer), digest(layer)), dir+"/one"))
	refused(t, rung(t, "09-image", putImage(t, []byte(layer), digest("another")), dir+"/two"), "damaged: what should be")
	refused(t, rung(t, "09-image", putImage(t, []byte(layer), ""), dir+"/two"), "its configuration has others")
	if _, err := os.Stat(dir + "/two"); err == nil {
		t.Error("a layer was unpacked that its configuration does not know")
	}
	put(t, dir+"/empty/index.json", `{"manifests":[]}`)
	refused(t, rung(t, "09-image", dir+"/empty", dir+"/two"), "no image in")

	// A layer may be larger than memory. (The test's own counts for a child too until exec: so it is not made here.)
	large := t.TempDir()
	sum := output(t, "sh", "-ec", `cd "$0"; truncate -s 64M zeros; tar -cf tar zeros; sha256sum <tar | cut -c -64; gzip -n tar`, large)
	cmd := rung(t, "09-image", putImage(t, []byte(read(t, large+"/tar.gz")), `"sha256:`+strings.TrimSpace(sum)+`"`), large+"/to")
	ok(t, cmd)
	if used := cmd.ProcessState.SysUsage().(*syscall.Rusage); used.Maxrss > 48<<10 {
		t.Errorf("a layer of 64 MiB takes %d KiB of memory", used.Maxrss)
	}

	// One that another program has made.
	if tool(t, "umoci") && tool(t, "skopeo") {
		made := dir + "/umoci"
		output(t, "umoci", "init", "--layout", made)
		output(t, "umoci", "new", "--image", made+":latest")
		output(t, "umoci", "insert", "--image", made+":latest", dir+"/one/0/etc", "/etc")
		ok(t, in(dir, rung(t, "09-image", made, "theirs")))
		if read(t, dir+"/theirs/0/etc/motd") != "hello" {
			t.Error(draw(t, dir+"/theirs"))
		}
	}
}

func TestCommit(t *testing.T) {
	needRoot(t)
	layout, dir := makeLayout(t), emptyDir(t)
	layers := strings.TrimSpace(ok(t, in(dir, rung(t, "09-image", layout, "layers"))).out)
	ok(t, in(dir, rung(t, "07-overlay", layers, "box", "sh", "-c", `
		rm /etc/motd; rm -r /old; mkdir /old; echo new >/old/new; ln -s /old/new /link; echo x >/su; chown 7:8 /su; chmod 4751 /su
		mkdir -p /a/b/c; chmod 1777 /a; echo one >/first; ln /first /second`)))
	before := blobs(t, layout)
	id := strings.TrimSpace(ok(t, in(dir, rung(t, "10-commit", layout, "box", "mine"))).out)
	if after := blobs(t, layout); len(after) != len(before)+3 {
		t.Errorf("%d blobs, before that %d", len(after), len(before))
	}
	for _, path := range blobs(t, layout) {
		if name := digest(read(t, path)); name != `"sha256:`+filepath.Base(path)+`"` {
			t.Errorf("%s has the digest %s", path, name)
		}
	}

	// It runs again, and what it shows is what the box has shown.
	again := strings.TrimSpace(ok(t, in(dir, rung(t, "09-image", layout, "layers2"))).out)
	const list = "cd /; find . -path ./proc -prune -o -path './bin/[^s]*' -prune -o -exec stat -c '%n %A %u:%g %N' {} + | sort; cat /old/new /first"
	was := ok(t, in(dir, rung(t, "07-overlay", layers, "box", "sh", "-c", list)))
	is := ok(t, in(dir, rung(t, "07-overlay", again, "box2", "sh", "-c", list)))
	if was.out != is.out {
		t.Errorf("the box had\n%s\nand its image has\n%s", was.out, is.out)
	}
	is.has(t, `^\./su -rwsr-x--x 7:8`, `^\./old/new`, `^\./a drwxrwxrwt`, `^new$`)
	is.hasNot(t, "motd", `/vi\b`)
	// The fault: one file with two names has become two.
	if was, is := stat(t, dir+"/box/upper/first"), stat(t, dir+"/layers2/2/first"); was.Nlink != 2 || is.Nlink != 1 {
		t.Errorf("the fault does not show: %d names, %d in the image", was.Nlink, is.Nlink)
	}
	ok(t, in(dir, rung(t, "10-commit", layout, "box2", "again"))) // an image of four layers
	refused(t, in(dir, rung(t, "10-commit", layout, "box")), "usage: .* LAYOUT BOX NAME")
	refused(t, in(dir, rung(t, "10-commit", layout, "none", "none")), "no such file")

	if tool(t, "skopeo") {
		var seen struct {
			Digest string
			Layers []string
			Env    []string
		}
		if err := json.Unmarshal([]byte(output(t, "skopeo", "inspect", "oci:"+layout+":mine")), &seen); err != nil {
			t.Fatal(err)
		}
		if seen.Digest != id || len(seen.Layers) != 3 || fmt.Sprint(seen.Env) != "[PATH=/bin]" {
			t.Errorf("skopeo sees %+v, the digest is %s", seen, id)
		}
	}
	if tool(t, "umoci") {
		output(t, "umoci", "unpack", "--image", layout+":mine", dir+"/umoci")
		root := dir + "/umoci/rootfs"
		if names(t, root+"/old") != "new" || read(t, root+"/first") != "one\n" || stat(t, root+"/su").Mode != unix.S_IFREG|0o4751 {
			t.Errorf("umoci makes\n%s", draw(t, root+"/old"))
		}
		if _, err := os.Lstat(root + "/etc/motd"); err == nil {
			t.Error("for umoci etc/motd is not deleted")
		}
	}
}

// whileOthers does something again and again, elsewhere, until the test ends.
func whileOthers(t *testing.T, do func() error) {
	t.Helper()
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := do(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	t.Cleanup(func() { close(stop); others.Wait() })
}

// openat2(2), EAGAIN: if anything, anywhere, is renamed or mounted while .. is followed, the kernel does not know that
// it has not been led out, and gives up. Step 11 tries again. Without that it fails, on a machine that is busy.
func TestHostileWhileOthersRename(t *testing.T) {
	needRoot(t)
	const files = 300
	entries := []entry{folder("a"), folder("b"), symlink("a/up", strings.Repeat("../", 200)+"b")}
	for i := range files {
		entries = append(entries, file(fmt.Sprintf("a/up/%d", i), ""))
	}
	layer := makeTar(t, entries...)
	careless := carelessHostile(t)
	for name, others := range map[string]func(dir string) error{
		"rename": func(dir string) error {
			if err := os.Rename(dir+"/x", dir+"/y"); err != nil {
				return err
			}
			return os.Rename(dir+"/y", dir+"/x")
		},
		"mount": func(dir string) error {
			if err := unix.Mount("tmpfs", dir+"/x", "tmpfs", 0, ""); err != nil {
				return err
			}
			return unix.Unmount(dir+"/x", unix.MNT_DETACH)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, elsewhere := emptyDir(t), emptyDir(t)
			put(t, elsewhere+"/x/file", "")
			whileOthers(t, func() error { return others(elsewhere) })
			wait := func(cmd *exec.Cmd) (string, error) { // not run: others mount meanwhile
				cmd.Stdin = strings.NewReader(layer)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			for i := range 5 {
				to := fmt.Sprintf("%s/%d", dir, i)
				if out, err := wait(rung(t, "11-hostile", to)); err != nil {
					t.Errorf("%v: %s", err, out)
				} else if made, err := os.ReadDir(to + "/b"); err != nil || len(made) != files {
					t.Errorf("%d files, %v", len(made), err)
				}
			}
			if careless == "" {
				return
			}
			for i, end := 0, time.Now().Add(patience()); ; i++ {
				out, err := wait(exec.Command(careless, fmt.Sprintf("%s/careless.%d", dir, i)))
				if err != nil && strings.Contains(out, "resource temporarily unavailable") {
					t.Logf("without another try the %d. run fails", i+1)
					return
				}
				if err != nil || time.Now().After(end) {
					t.Fatalf("without another try: %v, %s; EAGAIN was to be seen", err, out)
				}
			}
		})
	}
}

// carelessHostile is step 11 without its second try.
func carelessHostile(t *testing.T) string {
	t.Helper()
	if os.Getenv("STEPS_BIN") != "" {
		return "" // no Go here
	}
	source, err := filepath.Abs("11-hostile/main.go")
	if err != nil {
		t.Fatal(err)
	}
	const try = "case err != unix.EAGAIN:"
	if n := strings.Count(read(t, source), try); n != 1 {
		t.Fatalf("%q is there %d times", try, n)
	}
	dir := t.TempDir()
	put(t, dir+"/main.go", strings.Replace(read(t, source), try, "default:", 1))
	put(t, dir+"/overlay.json", fmt.Sprintf(`{"Replace": {%q: %q}}`, source, dir+"/main.go"))
	output(t, "go", "build", "-overlay", dir+"/overlay.json", "-o", dir+"/careless", "./11-hostile")
	return dir + "/careless"
}

func TestTogether(t *testing.T) {
	needRoot(t)
	got := ok(t, rung(t, "12-together.sh"))
	got.has(t, `^Hello from layer 2$`, `^sha256:[0-9a-f]{64}$`, `box2 ls /etc\nnew\n`,
		`naive <link.tar && ls /run\nfile\n`, `held <link.tar && ls /run held/run\n/run:\n\nheld/run:\nfile\n`,
		`naive <dots.tar && ls -d file\nfile\n`, `held <dots.tar && ls held\nfile\nrun\nvar\n\$ ls file\nls: .*No such file`)
	if tool(t, "skopeo") {
		got.has(t, `grep -c sha256:\n4$`)
	}
	if _, err := os.Lstat("/run/file"); err == nil {
		t.Error("it has written to /run")
	}
}
