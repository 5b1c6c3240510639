package chain

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/go-docker/day3-images/internal/testkit"
	"golang.org/x/sys/unix"
)

// What implied directories become on top of layers that have them.
func TestSettle(t *testing.T) {
	testkit.NeedRoot(t)
	dir, file, link, hard := testkit.Dir, testkit.File, testkit.Symlink, testkit.HardLink
	usr := []testkit.Entry{dir("usr"), dir("usr/bin"), link("bin", "usr/bin"), file("usr/bin/sh", "sh")}
	const usrBin = "bin->usr/bin usr/ usr/bin/ "
	for _, c := range []struct {
		name   string
		layers [][]testkit.Entry
		want   string
	}{
		{"through a link", [][]testkit.Entry{usr, {file("bin/foo", "x")}}, usrBin + "usr/bin/foo=x usr/bin/sh=sh"},
		{"through an absolute link", [][]testkit.Entry{{dir("usr"), link("bin", "/usr")}, {file("bin/foo", "x")}}, "bin->/usr usr/ usr/foo=x"},
		{"through a chain", [][]testkit.Entry{{dir("c"), link("a", "b"), link("b", "./c")}, {file("a/x", "x")}}, "a->b b->./c c/ c/x=x"},
		{"through ..", [][]testkit.Entry{{dir("d"), link("d/l", "../e"), dir("e")}, {file("d/l/x", "x")}}, "d/ d/l->../e e/ e/x=x"},
		{"to what is missing", [][]testkit.Entry{{link("l", "no/where")}, {file("l/x", "x")}}, "l->no/where no/ no/where/ no/where/x=x"},
		{"to a link of the layer", [][]testkit.Entry{{link("l", "m")}, {link("m", "d"), dir("d"), file("l/x", "x")}}, "d/ d/x=x l->m m->d"},
		{"a whiteout", [][]testkit.Entry{usr, {file("bin/.wh.sh", "")}}, usrBin[:len(usrBin)-1]},
		{"an opaque mark", [][]testkit.Entry{usr, {file("bin/.wh..wh..opq", ""), file("bin/foo", "x")}}, usrBin + "usr/bin/foo=x"},
		{"a whiteout of the link", [][]testkit.Entry{usr, {file("bin/foo", "x"), file(".wh.bin", "")}}, "bin/ bin/foo=x usr/ usr/bin/ usr/bin/sh=sh"},
		{"an entry of the directory's own", [][]testkit.Entry{usr, {file("bin/foo", "x"), dir("bin")}}, "bin/ bin/foo=x usr/ usr/bin/ usr/bin/sh=sh"},
		{"deleted between", [][]testkit.Entry{usr, {file(".wh.bin", "")}, {file("bin/foo", "x")}}, "bin/ bin/foo=x usr/ usr/bin/ usr/bin/sh=sh"},
		{"replaced between", [][]testkit.Entry{usr, {link("bin", "sbin")}, {file("bin/foo", "x")}}, "bin->sbin sbin/ sbin/foo=x usr/ usr/bin/ usr/bin/sh=sh"},
		{"both names of a directory", [][]testkit.Entry{usr, {file("bin/foo", "x"), file("usr/bin/bar", "y")}}, usrBin + "usr/bin/bar=y usr/bin/foo=x usr/bin/sh=sh"},
		{"a hard link with its target through the link", [][]testkit.Entry{usr, {file("usr/bin/foo", "x"), hard("usr/bin/bar", "bin/foo")}}, usrBin + "usr/bin/bar=x usr/bin/foo=x usr/bin/sh=sh"},
		{"a hard link with its name through the link", [][]testkit.Entry{usr, {file("bin/foo", "x"), hard("a", "usr/bin/foo")}}, "a=x " + usrBin + "usr/bin/foo=x usr/bin/sh=sh"},
		{"nothing but a whiteout of nothing", [][]testkit.Entry{usr, {file("new/.wh.x", "")}}, usrBin + "usr/bin/sh=sh"},
		{"the same layer twice", [][]testkit.Entry{{file("d/x", "a")}, {file("d/.wh.x", ""), file("y", "b")}, {file("d/x", "a")}}, "d/ d/x=a y=b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tars [][]byte
			for _, entries := range c.layers {
				tars = append(tars, testkit.Tar(t, entries...))
			}
			dirs, err := unpackAll(t.TempDir(), tars)
			if err != nil {
				t.Fatal(err)
			}
			if got := testkit.Sketch(t, testkit.MountOverlay(t, "", dirs...)); got != c.want {
				t.Errorf("shows %s\nwant  %s", got, c.want)
			}
		})
	}
}

// What overlayfs shows of layers is what their whiteouts mean.
func TestUnpackedLayersMerge(t *testing.T) {
	testkit.NeedRoot(t)
	stack := func(layers ...[]testkit.Entry) string {
		var tars [][]byte
		for _, entries := range layers {
			tars = append(tars, testkit.Tar(t, entries...))
		}
		dirs, err := unpackAll(t.TempDir(), tars)
		if err != nil {
			t.Fatal(err)
		}
		return testkit.Sketch(t, testkit.MountOverlay(t, "", dirs...))
	}
	lower := []testkit.Entry{testkit.File("a/1", "1"), testkit.File("a/2", "2"), testkit.File("b/c/3", "3"), testkit.Symlink("l", "a"), testkit.File("f", "4")}
	for _, c := range []struct {
		name  string
		upper []testkit.Entry
		want  string
	}{
		{"nothing", nil, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f=4 l->a"},
		{"a file", []testkit.Entry{testkit.File("a/.wh.1", "")}, "a/ a/2=2 b/ b/c/ b/c/3=3 f=4 l->a"},
		{"a directory", []testkit.Entry{testkit.File(".wh.b", "")}, "a/ a/1=1 a/2=2 f=4 l->a"},
		{"a link, not what it names", []testkit.Entry{testkit.File(".wh.l", "")}, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f=4"},
		{"what is in a directory", []testkit.Entry{testkit.File("a/.wh..wh..opq", ""), testkit.File("a/n", "n")}, "a/ a/n=n b/ b/c/ b/c/3=3 f=4 l->a"},
		{"a directory, and a new one", []testkit.Entry{testkit.File("a/n", "n"), testkit.File(".wh.a", "")}, "a/ a/n=n b/ b/c/ b/c/3=3 f=4 l->a"},
		{"a directory, for a file", []testkit.Entry{testkit.File("b", "n")}, "a/ a/1=1 a/2=2 b=n f=4 l->a"},
		{"a file, for a directory", []testkit.Entry{testkit.File("f/n", "n")}, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f/ f/n=n l->a"},
		{"a file, and then for a directory", []testkit.Entry{testkit.File("a", "n"), testkit.Dir("a")}, "a/ b/ b/c/ b/c/3=3 f=4 l->a"},
		{"what is not there", []testkit.Entry{testkit.File("a/.wh.x", "")}, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f=4 l->a"},
		{"everything", []testkit.Entry{testkit.File(".wh..wh..opq", ""), testkit.File("n", "n")}, "n=n"},
		{"where nothing is", []testkit.Entry{testkit.File("new/dir/.wh.x", ""), testkit.File("new/n", "n")}, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f=4 l->a new/ new/n=n"},
		{"twice", []testkit.Entry{testkit.File("a/.wh.1", ""), testkit.File("a/.wh..wh..opq", "")}, "a/ b/ b/c/ b/c/3=3 f=4 l->a"},
		{"below what is deleted", []testkit.Entry{testkit.File("b/.wh..wh..opq", ""), testkit.File("b/c/.wh.3", "")}, "a/ a/1=1 a/2=2 b/ f=4 l->a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := stack(lower, c.upper); got != c.want {
				t.Errorf("shows %s\nwant  %s", got, c.want)
			}
			// The lowest layer has nothing to delete.
			if got := stack(c.upper); strings.Contains(got, "!") {
				t.Errorf("alone, it shows %s", got)
			}
		})
	}
}

// A directory without an entry stays as it was: owner, mode, times, attributes.
func TestSettleMetadata(t *testing.T) {
	testkit.NeedRoot(t)
	then := time.Unix(1e9, 0)
	secret := testkit.Dir("d").WithMode(0o1700).OwnedBy(1000, 50).At(then).Xattr("trusted.x", "y")
	lower := []testkit.Entry{testkit.Dir("./").WithMode(0o711).OwnedBy(7, 8).At(then), secret, testkit.File("d/old", ""), secret.Named("d/sub")}
	kept := "41700 1000:50 1000000000 y"
	const plain = "40755 0:0 0 "
	f := func(name string) testkit.Entry { return testkit.File(name, "") }
	for _, c := range []struct {
		name   string
		layers [][]testkit.Entry
		d, sub string
	}{
		{"kept", [][]testkit.Entry{{f("d/sub/x")}}, kept, kept},
		{"kept twice", [][]testkit.Entry{{f("d/sub/x")}, {f("d/y"), f("d/sub/y")}}, kept, kept},
		{"its own entry", [][]testkit.Entry{{f("d/sub/x"), testkit.Dir("d").At(then)}}, "40755 0:0 1000000000 ", kept},
		{"opaque", [][]testkit.Entry{{f("d/.wh..wh..opq"), f("d/sub/x")}}, kept, plain},
		{"opaque later", [][]testkit.Entry{{f("d/sub/x"), f("d/.wh..wh..opq")}}, kept, plain},
		{"a whiteout", [][]testkit.Entry{{f(".wh.d"), f("d/sub/x")}}, plain, plain},
		{"a whiteout later", [][]testkit.Entry{{f("d/sub/x"), f(".wh.d")}}, plain, plain},
		{"all is deleted", [][]testkit.Entry{{f("d/sub/x"), f(".wh..wh..opq")}}, plain, plain},
		{"deleted between", [][]testkit.Entry{{f(".wh.d")}, {f("d/sub/x")}}, plain, plain},
		{"deleted in part between", [][]testkit.Entry{{f("d/.wh.sub")}, {f("d/sub/x")}}, kept, plain},
		{"replaced between", [][]testkit.Entry{{f("d")}, {f("d/sub/x")}}, plain, plain},
		{"opaque between", [][]testkit.Entry{{f("d/.wh..wh..opq")}, {f("d/sub/x")}}, kept, plain},
		{"another layer says more", [][]testkit.Entry{{secret.WithMode(0o750)}, {f("d/sub/x")}}, "40750 1000:50 1000000000 y", kept},
	} {
		t.Run(c.name, func(t *testing.T) {
			tars := [][]byte{testkit.Tar(t, lower...)}
			for _, entries := range c.layers {
				tars = append(tars, testkit.Tar(t, entries...))
			}
			dirs, err := unpackAll(t.TempDir(), tars)
			if err != nil {
				t.Fatal(err)
			}
			upper := t.TempDir()
			if err := CopyTop(dirs, upper); err != nil {
				t.Fatal(err)
			}
			merged := testkit.MountOverlay(t, upper, slices.Clone(dirs)...)
			top := "40711 7:8 1000000000 "
			if c.name == "all is deleted" { // it is left out, along with its entry for the top
				top = "40755 0:0 "
			}
			for name, want := range map[string]string{"/d": c.d, "/d/sub": c.sub, "/": top} {
				if got := metadataOf(t, merged+name); !strings.HasPrefix(got, want) {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
			}
		})
	}
}

func metadataOf(t *testing.T, name string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 10)
	n, err := unix.Lgetxattr(name, "trusted.x", value)
	if err != nil && err != unix.ENODATA {
		t.Fatal(err)
	}
	return fmt.Sprintf("%o %d:%d %d %s", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, value[:max(n, 0)])
}

// Settled files are the layer's own, and the layer stays as it was.
func TestSettleSharesFiles(t *testing.T) {
	testkit.NeedRoot(t)
	base := t.TempDir()
	if _, err := unpackAll(base, [][]byte{testkit.Tar(t, testkit.File("y", "y")), testkit.Tar(t, testkit.File("d/x", "x"))}); err != nil {
		t.Fatal(err)
	}
	one, err := os.Stat(base + "/layer 1/d/x")
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Stat(base + "/settled 1/d/x")
	if err != nil || !os.SameFile(one, other) {
		t.Errorf("%v, and is another file: %+v", err, other)
	}
}
