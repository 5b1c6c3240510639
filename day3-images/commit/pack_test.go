package commit

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/layer"
	"golang.org/x/sys/unix"
)

// changes is what a container may do to its root.
const changes = `
set -eu
echo changed >etc/passwd
chmod 600 etc/both
chown 7:8 etc/shadow
touch -d 2001-01-01T00:00:00.123456789 etc/new
setfattr -n user.comment -v changed home/u/x2 && setfattr -x user.second home/u/x2 ||
	setfattr -n trusted.comment -v changed home/u/x2 # tmpfs has no user.* before Linux 6.6
setcap cap_net_bind_service+ep bin/wall
rm etc/old bin/ping var/lock
rm -r many deep/level\ 0/level\ 1
rm -r var/cache/a && mkdir var/cache/a && echo 5 >var/cache/a/5
rm -r home/u2 && echo file >home/u2
rm usr/bin/perl && mkdir -p usr/bin/perl/lib && echo x >usr/bin/perl/lib/x
mv bin/su bin/sudo
mv var/cache var/cached
mv etc/one etc/two
ln usr/bin/perl5.36 bin/another
echo linked >l1 && ln l1 l2 && ln l1 var/l3 && chmod 4711 l2
ln -sfn /somewhere/else var/run
mknod dev/full c 1 7; mkfifo dev/fifo; chmod 660 dev/sda
mkdir -p a/b/c/d/e && chmod 1777 a/b && chown 1000:1000 a/b/c && touch -d 1999-09-09 a/b/c/d a/b/c a/b
truncate -s 3M a/b/c/d/e/sparse && echo end >>a/b/c/d/e/sparse
: >"a/new
line" && : >"a/-dash" && : >"a/$(printf %0200d 0)"
echo gone >twice && rm twice && echo back >twice
mkdir empty && rm -r run && mkdir run && chmod 1777 run
`

// A container's changes, packed, unpacked elsewhere and stacked on the same
// layers, look as in the container: to overlayfs and to umoci.
// unpackTo unpacks a tar into a new directory below base.
func unpackTo(t testing.TB, base string, content []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp(base, "layer.")
	if err != nil {
		t.Fatal(err)
	}
	q := layer.Quota{Bytes: 1 << 30, Entries: 1 << 20}
	if err := layer.Unpack(bytes.NewReader(content), dir, &q); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPackLayerRoundTrip(t *testing.T) {
	testkit.NeedRoot(t)
	base := t.TempDir()
	more := testkit.Tar(t, testkit.Dir("home/").WithMode(0o755), testkit.Dir("home/u/").OwnedBy(1000, 1000),
		testkit.File("home/u/x2", "x").Xattr("user.comment", "1").Xattr("user.second", "2"),
		testkit.File("home/u2/file", "x"), testkit.File("etc/one", "1"), testkit.File("twice", "1"), testkit.File("etc/old", "old"), testkit.File("bin/ping", ""),
		testkit.File("usr/bin/perl5.36", "again"))
	tars := append(testkit.PeerLayers(t), more)
	var layers []string
	for _, made := range tars {
		layers = append(layers, unpackTo(t, base, made))
	}
	upper := t.TempDir()
	merged := testkit.MountOverlay(t, upper, slices.Clone(layers)...)
	cmd := exec.Command("bash", "-c", changes)
	cmd.Dir = merged
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	want := testkit.Facts(t, merged)

	var packed bytes.Buffer
	if err := packLayer(&packed, upper); err != nil {
		t.Fatal(err)
	}
	checkTimes(t, packed.Bytes())
	again := unpackTo(t, base, packed.Bytes())
	testkit.SameFacts(t, testkit.Facts(t, testkit.MountOverlay(t, "", append(slices.Clone(layers), again)...)), want)
	t.Run("umoci", func(t *testing.T) { // unlike the first comparison, it shows whether others can read what we write
		if _, err := exec.LookPath("umoci"); err != nil {
			testkit.Need(t, false, "umoci")
		}
		got := umociUnpack(t, append(slices.Clone(tars), packed.Bytes()))
		testkit.SameFacts(t, testkit.Facts(t, got), want)
	})
	t.Run("deterministic", func(t *testing.T) {
		// Another directory, made in another order, of other inodes.
		other := filepath.Join(t.TempDir(), "upper")
		copyBackwards(t, upper, other)
		var second bytes.Buffer
		if err := packLayer(&second, other); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(packed.Bytes(), second.Bytes()) {
			t.Errorf("the same tree gave %d and %d other bytes", packed.Len(), second.Len())
		}
	})
}

// copyBackwards copies a tree, starting with its last file.
func copyBackwards(t *testing.T, from, to string) {
	t.Helper()
	list := strings.Split(strings.TrimSuffix(string(testkit.ToolOutput(t, "find", from, "-mindepth", "1", "-printf", `%P\0`)), "\x00"), "\x00")
	slices.Sort(list)
	slices.Reverse(list)
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	// tar remembers hard links only within one run, so use a single one.
	write := exec.Command("tar", "--xattrs", "--xattrs-include=*", "--format=posix", "-C", from, "--no-recursion", "--null", "-T", "-", "-c")
	write.Stdin = strings.NewReader(strings.Join(list, "\x00"))
	archive, err := write.Output()
	if err != nil {
		t.Fatal(err)
	}
	read := exec.Command("tar", "--xattrs", "--xattrs-include=*", "-xp", "--delay-directory-restore", "-C", to)
	read.Stdin = bytes.NewReader(archive)
	if text, err := read.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// checkTimes allows no times except that of the last change.
func checkTimes(t *testing.T, layer []byte) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(layer))
	n := 0
	for ; ; n++ {
		hdr, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !hdr.AccessTime.IsZero() || !hdr.ChangeTime.IsZero() {
			t.Errorf("%q has more than one time", hdr.Name)
		}
	}
	if n < 40 {
		t.Errorf("only %d entries", n)
	}
}

func umociUnpack(t *testing.T, layers [][]byte) string {
	t.Helper()
	layout, rootfs := filepath.Join(t.TempDir(), "layout"), filepath.Join(t.TempDir(), "rootfs")
	umoci := func(args ...string) { testkit.ToolOutput(t, "umoci", args...) }
	umoci("init", "--layout", layout)
	umoci("new", "--image", layout+":test")
	for i, layer := range layers {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.tar", i))
		if err := os.WriteFile(path, layer, 0o600); err != nil {
			t.Fatal(err)
		}
		umoci("raw", "add-layer", "--image", layout+":test", path)
	}
	umoci("raw", "unpack", "--image", layout+":test", rootfs)
	return rootfs
}

func TestPackTreeRoundTrip(t *testing.T) {
	testkit.NeedRoot(t)
	for name, made := range map[string][]byte{"made up": testkit.PeerLayers(t)[0], "real": testkit.RealLayer(t), "empty": testkit.Tar(t)} {
		t.Run(name, func(t *testing.T) {
			dir := unpackTo(t, t.TempDir(), made)
			var packed bytes.Buffer
			if err := PackTree(&packed, dir); err != nil {
				t.Fatal(err)
			}
			want := testkit.Facts(t, dir)
			for file, f := range want { // a plain directory hides nothing
				f.Xattrs = strings.TrimSuffix(f.Xattrs, layer.OpaqueXattr+`="y"`)
				want[file] = f
			}
			testkit.SameFacts(t, testkit.Facts(t, unpackTo(t, t.TempDir(), packed.Bytes())), want)
		})
	}
}

// An unpacked layer is like an upper directory, so it packs to itself.
func TestPackUnpackedLayer(t *testing.T) {
	testkit.NeedRoot(t)
	for i, made := range testkit.PeerLayers(t) {
		dir := unpackTo(t, t.TempDir(), made)
		var first, second bytes.Buffer
		if err := packLayer(&first, dir); err != nil {
			t.Fatal(err)
		}
		again := unpackTo(t, t.TempDir(), first.Bytes())
		if err := packLayer(&second, again); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("layer %d: %d bytes, and then %d others", i, first.Len(), second.Len())
		}
		if got, want := testkit.Sketch(t, again), testkit.Sketch(t, dir); got != want {
			t.Errorf("layer %d: %s\nwant %s", i, got, want)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	testkit.NeedRoot(t)
	for _, c := range []struct {
		name, script, words string
	}{
		{"a whiteout's name", "mkdir d; : >d/.wh.x", `"d/.wh.x": a layer cannot hold a file with this name`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command("bash", "-ec", c.script)
			cmd.Dir = dir
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			err := packLayer(io.Discard, dir)
			if err == nil || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), dir) {
				t.Errorf("the error is %v, want %s", err, c.words)
			}
		})
	}
	if err := packLayer(io.Discard, "/nowhere/at all"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the error is %v", err)
	}
}

func TestPackSocket(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	if err := unix.Mknod(dir+"/socket", unix.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/file", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := packLayer(&packed, dir); err != nil {
		t.Fatal(err)
	}
	if got := testkit.Sketch(t, unpackTo(t, t.TempDir(), packed.Bytes())); got != "file=x" {
		t.Errorf("packed %s", got)
	}
}

// Every write may fail.
func TestPackWriteError(t *testing.T) {
	testkit.NeedRoot(t)
	dir := unpackTo(t, t.TempDir(), testkit.Tar(t, testkit.Dir("a"), testkit.File("a/f", strings.Repeat("x", 5000)), testkit.File("a/.wh.x", ""), testkit.Symlink("l", "a")))
	full := errors.New("the disk is full")
	var packed bytes.Buffer
	if err := packLayer(&packed, dir); err != nil {
		t.Fatal(err)
	}
	for n := range packed.Len() {
		if n%100 > 0 && n%512 > 1 {
			continue
		}
		if err := packLayer(&limitedWriter{n, full}, dir); !errors.Is(err, full) {
			t.Fatalf("after %d bytes: the error is %v", n, err)
		}
	}
}

type limitedWriter struct {
	left int
	err  error
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, w.err
	}
	w.left -= len(p)
	return len(p), nil
}

// While its changes are packed, a running container swaps a directory for a
// link to the host's files, and a file for a link or a FIFO.
func TestPackWhileItChanges(t *testing.T) {
	testkit.NeedRoot(t)
	base := t.TempDir()
	secret, upper := base+"/secret", base+"/upper"
	script := fmt.Sprintf(`
mkdir -p %[1]s %[2]s/d; cd %[2]s
for i in $(seq 20); do echo SECRET >%[1]s/$i; echo SECRET >%[1]s/f; echo mine >d/$i; done
echo mine >d/f; ln -s %[1]s l; ln -s %[1]s/f lf; mkfifo p; : >f`, secret, upper)
	testkit.ToolOutput(t, "bash", "-ec", script)
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, pair := range [][2]string{{"d", "l"}, {"f", "lf"}, {"f", "p"}} {
				if err := unix.Renameat2(unix.AT_FDCWD, upper+"/"+pair[0], unix.AT_FDCWD, upper+"/"+pair[1], unix.RENAME_EXCHANGE); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 300 {
		var packed bytes.Buffer
		if err := packLayer(&packed, upper); err != nil {
			t.Error(err)
		}
		if bytes.Contains(packed.Bytes(), []byte("SECRET")) {
			t.Error("the host's file is in the layer")
			break
		}
	}
	close(stop)
	swapper.Wait()
}

func TestPackShrinkingFile(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	file, err := os.Create(dir + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	shrink := testkit.WriterFunc(func(p []byte) (int, error) { return len(p), file.Truncate(1 << 20) })
	if err := packLayer(shrink, dir); err == nil || !strings.Contains(err.Error(), "stop the container first") {
		t.Errorf("the error is %v", err)
	}
}
