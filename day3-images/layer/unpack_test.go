package layer

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/day3-images/internal/testkit"
	"golang.org/x/sys/unix"
)

// aclForUser is u::rwx,u:1000:rwx,g::r-x,m::rwx,o::r-x: see linux/posix_acl_xattr.h.
const aclForUser = "\x02\x00\x00\x00" +
	"\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\xe8\x03\x00\x00" + "\x04\x00\x05\x00\xff\xff\xff\xff" +
	"\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x05\x00\xff\xff\xff\xff"

func digestOf(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

func TestUnpackMetadata(t *testing.T) {
	// The attributes are trusted.*, because tmpfs has no user.* before Linux
	// 6.6.
	testkit.NeedRoot(t)
	then := time.Date(2001, 2, 3, 4, 5, 6, 789_012_345, time.UTC)
	old := time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)
	entries := []testkit.Entry{
		testkit.Dir("./").WithMode(0o711).OwnedBy(1, 2).At(then),
		testkit.Dir("a/").WithMode(0o1777).OwnedBy(3, 4).At(then).Xattr("trusted.x", "y"),
		testkit.File("a/setuid", "x").WithMode(0o4755).OwnedBy(5, 6).At(then),
		testkit.File("a/setgid", "x").WithMode(0o2755).OwnedBy(5, 6).At(old),
		testkit.File("a/none", "").WithMode(0).OwnedBy(4_000_000_000, 70_000).At(then),
		testkit.File("a/ping", "x").WithMode(0o755).OwnedBy(1000, 1000).At(then).Xattr("security.capability", testkit.CapNetRaw).Xattr("trusted.empty", ""),
		testkit.Symlink("a/link", "no/where").OwnedBy(7, 8).At(then).Xattr("trusted.x", "on the link"),
		testkit.Node("a/null", tar.TypeChar, 1, 3).WithMode(0o666).At(then),
		testkit.Node("a/disk", tar.TypeBlock, 259, 65_537).WithMode(0o660).OwnedBy(0, 6).At(then).Xattr("trusted.x", "on the device"),
		testkit.Node("a/pipe", tar.TypeFifo, 0, 0).WithMode(0o622).At(then),
		testkit.HardLink("a/setuid too", "/a/setuid"),
		testkit.HardLink("a/link too", "./a/link"),
		testkit.HardLink("a/pipe too", "a//pipe"),
		testkit.File("late/file", "x").At(then), // its directory has an entry, but a later one
		testkit.Dir("late").WithMode(0o500).OwnedBy(9, 9).At(old),
		testkit.File("late/file 2", "x").At(then),
		testkit.File("implied/b/file", "x").At(then),  // its directories have none
		testkit.Dir("a/sub").WithMode(0o700).At(then), // must not change a's times
		testkit.Dir("setgid").WithMode(0o2775).OwnedBy(0, 50).At(then),
		testkit.File("setgid/file", "x").At(then),
		testkit.File("setgid/implied/file", "x").At(then),
		testkit.Dir("acl").At(then).Xattr("system.posix_acl_default", aclForUser),
		testkit.File("acl/file", "x").WithMode(0o640).At(then),
		testkit.File("acl/implied/file", "x").WithMode(0o640).At(then),
		testkit.File("again", "x").At(then).Xattr("trusted.x", "y"),
		testkit.File("again", "x").At(then),
		testkit.Dir("again too").At(then).Xattr("trusted.x", "y"),
		testkit.Dir("again too").At(then).Xattr("trusted.z", "y"),
	}
	for _, umask := range []int{0o022, 0o077, 0} {
		t.Run(fmt.Sprintf("umask %o", umask), func(t *testing.T) {
			defer syscall.Umask(syscall.Umask(umask))
			dir := unpackTo(t, t.TempDir(), testkit.Tar(t, entries...))
			x, n := digestOf("x"), then.UnixNano()
			testkit.SameFacts(t, testkit.Facts(t, dir), map[string]testkit.Fact{
				"a":                   {Kind: os.ModeDir, Mode: 0o1777, Owner: "3:4", Mtime: n, Xattrs: `trusted.x="y"`},
				"a/setuid":            {Mode: 0o4755, Owner: "5:6", Mtime: n, Size: 1, Content: x, Link: "a/setuid"},
				"a/setuid too":        {Mode: 0o4755, Owner: "5:6", Mtime: n, Size: 1, Content: x, Link: "a/setuid"},
				"a/setgid":            {Mode: 0o2755, Owner: "5:6", Mtime: old.UnixNano(), Size: 1, Content: x},
				"a/none":              {Owner: "4000000000:70000", Mtime: n, Content: digestOf("")},
				"a/ping":              {Mode: 0o755, Owner: "1000:1000", Mtime: n, Size: 1, Content: x, Xattrs: fmt.Sprintf(`security.capability=%q trusted.empty=""`, testkit.CapNetRaw)},
				"a/link":              {Kind: os.ModeSymlink, Mode: 0o777, Owner: "7:8", Mtime: n, Target: "no/where", Xattrs: `trusted.x="on the link"`, Link: "a/link"},
				"a/link too":          {Kind: os.ModeSymlink, Mode: 0o777, Owner: "7:8", Mtime: n, Target: "no/where", Xattrs: `trusted.x="on the link"`, Link: "a/link"},
				"a/null":              {Kind: os.ModeDevice | os.ModeCharDevice, Mode: 0o666, Owner: "0:0", Mtime: n, Device: "1:3"},
				"a/disk":              {Kind: os.ModeDevice, Mode: 0o660, Owner: "0:6", Mtime: n, Device: "259:65537", Xattrs: `trusted.x="on the device"`},
				"a/pipe":              {Kind: os.ModeNamedPipe, Mode: 0o622, Owner: "0:0", Mtime: n, Link: "a/pipe"},
				"a/pipe too":          {Kind: os.ModeNamedPipe, Mode: 0o622, Owner: "0:0", Mtime: n, Link: "a/pipe"},
				"a/sub":               {Kind: os.ModeDir, Mode: 0o700, Owner: "0:0", Mtime: n},
				"late":                {Kind: os.ModeDir, Mode: 0o500, Owner: "9:9", Mtime: old.UnixNano()},
				"late/file":           {Mode: 0o644, Owner: "0:0", Mtime: n, Size: 1, Content: x},
				"late/file 2":         {Mode: 0o644, Owner: "0:0", Mtime: n, Size: 1, Content: x},
				"implied":             {Kind: os.ModeDir, Mode: 0o755, Owner: "0:0"},
				"implied/b":           {Kind: os.ModeDir, Mode: 0o755, Owner: "0:0"},
				"implied/b/file":      {Mode: 0o644, Owner: "0:0", Mtime: n, Size: 1, Content: x},
				"setgid":              {Kind: os.ModeDir, Mode: 0o2775, Owner: "0:50", Mtime: n},
				"setgid/file":         {Mode: 0o644, Owner: "0:0", Mtime: n, Size: 1, Content: x},
				"setgid/implied":      {Kind: os.ModeDir, Mode: 0o755, Owner: "0:0"},
				"setgid/implied/file": {Mode: 0o644, Owner: "0:0", Mtime: n, Size: 1, Content: x},
				"acl":                 {Kind: os.ModeDir, Mode: 0o755, Owner: "0:0", Mtime: n, Xattrs: fmt.Sprintf("system.posix_acl_default=%q", aclForUser)},
				"acl/file":            {Mode: 0o640, Owner: "0:0", Mtime: n, Size: 1, Content: x},
				"acl/implied":         {Kind: os.ModeDir, Mode: 0o755, Owner: "0:0"},
				"acl/implied/file":    {Mode: 0o640, Owner: "0:0", Mtime: n, Size: 1, Content: x},
				"again":               {Mode: 0o644, Owner: "0:0", Mtime: n, Size: 1, Content: x},
				"again too":           {Kind: os.ModeDir, Mode: 0o755, Owner: "0:0", Mtime: n, Xattrs: `trusted.z="y"`},
			})
			var top unix.Stat_t
			if err := unix.Lstat(dir, &top); err != nil {
				t.Fatal(err)
			}
			if top.Mode&0o7777 != 0o711 || top.Uid != 1 || top.Gid != 2 || top.Mtim.Nano() != n {
				t.Errorf("the top is %+v", top)
			}
		})
	}
}

// Entries that do not depend on each other may come in any order.
func TestUnpackOrder(t *testing.T) {
	testkit.NeedRoot(t)
	base := t.TempDir()
	for want, entries := range map[string][]testkit.Entry{
		"d/opaque! d/file=x d/gone!": {
			testkit.Dir("d/").WithMode(0o700).At(time.Unix(1, 0)),
			testkit.File("d/.wh..wh..opq", ""),
			testkit.File("d/file", "x").At(time.Unix(2, 0)),
			testkit.File("d/.wh.gone", ""),
		},
		"e/opaque! e/sub/ e/sub/file=x": {
			testkit.File(".wh.e", ""),
			testkit.Dir("e").WithMode(0o700).At(time.Unix(1, 0)),
			testkit.Dir("e/sub").At(time.Unix(2, 0)),
			testkit.File("e/sub/file", "x").At(time.Unix(3, 0)),
		},
	} {
		var first map[string]testkit.Fact
		permute(entries, func(order []testkit.Entry) {
			dir := unpackTo(t, base, testkit.Tar(t, order...))
			if got := testkit.Sketch(t, dir); got != want {
				t.Errorf("%v became\n%s, want\n%s", order, got, want)
			}
			now := testkit.Facts(t, dir)
			delete(now, "d/gone") // a whiteout has the time when it was made
			if first == nil {
				first = now
			}
			testkit.SameFacts(t, now, first)
		})
	}
}

func permute(all []testkit.Entry, do func([]testkit.Entry)) {
	var next func(i int)
	next = func(i int) {
		if i == len(all) {
			do(all)
		}
		for j := i; j < len(all); j++ {
			all[i], all[j] = all[j], all[i]
			next(i + 1)
			all[i], all[j] = all[j], all[i]
		}
	}
	next(0)
}

// A file that is mostly zeros takes little room, and has its size.
func TestUnpackHoles(t *testing.T) {
	testkit.NeedRoot(t)
	const size = 64 << 20
	content := bytes.Repeat([]byte{0}, size)
	copy(content[20<<20:], "in the middle")
	entry := testkit.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "zeros", Size: size, Mode: 0o644}, Content: string(content)}
	dir := unpackTo(t, t.TempDir(), testkit.Tar(t, entry))
	got, err := os.ReadFile(filepath.Join(dir, "zeros"))
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the content is another: %d bytes, %v", len(got), err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, "zeros"), &st); err != nil || st.Blocks*512 > size/16 {
		t.Errorf("it takes %d bytes of the disk, %v", st.Blocks*512, err)
	}
}

// The real tar(1) writes sparse files in four ways.
func TestUnpackSparse(t *testing.T) {
	testkit.NeedRoot(t)
	path := filepath.Join(t.TempDir(), "sparse")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for i := range int64(30) {
		if _, err := file.WriteAt([]byte("data"), i<<20); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Truncate(40 << 20); err != nil {
		t.Fatal(err)
	}
	want := testkit.Facts(t, filepath.Dir(path))
	for _, flags := range [][]string{{"--format=gnu"}, {"--sparse-version=0.0"}, {"--sparse-version=0.1"}, {"--sparse-version=1.0"}} {
		t.Run(flags[0], func(t *testing.T) {
			args := append(flags, "--sparse", "-c", "-C", filepath.Dir(path), "sparse")
			if !strings.HasPrefix(flags[0], "--format") {
				args = append([]string{"--format=posix"}, args...)
			}
			layer := testkit.ToolOutput(t, "tar", args...)
			if len(layer) > 1<<20 {
				t.Fatalf("tar wrote %d bytes", len(layer))
			}
			dir := unpackTo(t, t.TempDir(), layer)
			got := testkit.Facts(t, dir)
			if f := got["sparse"]; flags[0] == "--format=gnu" { // it has only whole seconds
				w := want["sparse"]
				f.Mtime, w.Mtime = f.Mtime/1e9, w.Mtime/1e9
				got, want := map[string]testkit.Fact{"sparse": f}, map[string]testkit.Fact{"sparse": w}
				testkit.SameFacts(t, got, want)
				return
			}
			testkit.SameFacts(t, got, want)
		})
	}
}

// Layers of one image are unpacked at the same time and share a quota.
func TestUnpackQuotaIsShared(t *testing.T) {
	testkit.NeedRoot(t)
	layer := testkit.Tar(t, testkit.File("a", strings.Repeat("x", 1000)), testkit.File("b", ""))
	size := int64(len(layer))
	for _, c := range []struct {
		q    Quota
		want error
	}{
		{Quota{8 * size, 16}, nil},
		{Quota{8*size - 1, 16}, errTooManyBytes},
		{Quota{8 * size, 15}, errTooManyEntries},
		{Quota{0, 0}, errTooManyBytes},
	} {
		q := c.q
		errs := make([]error, 8)
		var wait sync.WaitGroup
		for i := range errs {
			dir := t.TempDir()
			wait.Go(func() { errs[i] = Unpack(bytes.NewReader(layer), dir, &q) })
		}
		wait.Wait()
		if err := errors.Join(errs...); !errors.Is(err, c.want) || c.want == nil && q != (Quota{}) {
			t.Errorf("%+v: %v, and %+v left, want %v", c.q, err, q, c.want)
		}
	}
}

// Unpack reads everything, because a digest is computed from what it reads.
func TestUnpackReadsToTheEnd(t *testing.T) {
	testkit.NeedRoot(t)
	for _, behind := range []string{"", "x", strings.Repeat("\x00", 10240), strings.Repeat("behind ", 100_000)} {
		r := strings.NewReader(string(testkit.Tar(t, testkit.File("a", "x"))) + behind)
		q := plenty
		if err := Unpack(r, t.TempDir(), &q); err != nil || r.Len() != 0 {
			t.Errorf("%d bytes were left, error %v", r.Len(), err)
		}
	}
}

func TestUnpackReadError(t *testing.T) {
	testkit.NeedRoot(t)
	layer := testkit.Tar(t, testkit.File("a", strings.Repeat("x", 10_000)), testkit.File("b", "y"))
	broken := errors.New("the network is gone")
	for n := range len(layer) + 1 {
		if n%512 > 1 && n%97 != 0 {
			continue
		}
		q := plenty
		r := io.MultiReader(bytes.NewReader(layer[:n]), errorReader{broken})
		if err := Unpack(r, t.TempDir(), &q); !errors.Is(err, broken) {
			t.Fatalf("after %d bytes: the error is %v, want %v", n, err, broken)
		}
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// small mounts a file system of one megabyte.
func small(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,"+options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestUnpackDiskFull(t *testing.T) {
	testkit.NeedRoot(t)
	for _, c := range []struct {
		options string
		layer   []testkit.Entry
		words   string
	}{
		{"mode=700", []testkit.Entry{testkit.File("a", "x"), testkit.File("dir/big", strings.Repeat("x", 2<<20))}, `layer entry "dir/big"`},
		{"nr_inodes=4", []testkit.Entry{testkit.File("a", "x"), testkit.File("b", "x"), testkit.File("c", "x"), testkit.File("d", "x")}, `layer entry "d"`},
	} {
		q := plenty
		err := Unpack(bytes.NewReader(testkit.Tar(t, c.layer...)), small(t, c.options), &q)
		if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("the error is %v, want no space, for %s", err, c.words)
		}
	}
}

// A layer without an entry for its top can be entered by everybody.
func TestUnpackTop(t *testing.T) {
	testkit.NeedRoot(t)
	dir := unpackTo(t, t.TempDir(), testkit.Tar(t, testkit.File("a", "")))
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil || st.Mode&0o7777 != 0o755 {
		t.Errorf("its mode is %o, %v", st.Mode&0o7777, err)
	}
}

func TestUnpackTo(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{filepath.Join(dir, "missing"): unix.ENOENT, file: unix.ENOTDIR} {
		q := plenty
		err := Unpack(bytes.NewReader(testkit.Tar(t)), path, &q)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error is %v, want %v", path, err, want)
		}
	}
	readOnly := small(t, "ro")
	q := plenty
	if err := Unpack(bytes.NewReader(testkit.Tar(t, testkit.File("a", ""))), readOnly, &q); !errors.Is(err, unix.EROFS) {
		t.Errorf("read-only: the error is %v", err)
	}
}

// If something is renamed anywhere while openat2(2) resolves "..", it gives up
// with EAGAIN.
func TestUnpackWhileOthersRename(t *testing.T) {
	testkit.NeedRoot(t)
	rename(t)
	const files = 1000
	entries := []testkit.Entry{testkit.Dir("a"), testkit.Dir("b"), testkit.Symlink("a/up", strings.Repeat("../", 100)+"b")}
	for i := range files {
		entries = append(entries, testkit.File(fmt.Sprintf("a/up/%d", i), ""), testkit.File(fmt.Sprintf("a/%d", i), ""))
	}
	dir := unpackTo(t, t.TempDir(), testkit.Tar(t, entries...))
	if names, err := os.ReadDir(filepath.Join(dir, "b")); err != nil || len(names) != files {
		t.Errorf("%d files, %v", len(names), err)
	}
}

// rename renames something elsewhere until the test ends.
func rename(t *testing.T) {
	elsewhere := t.TempDir()
	stop := make(chan struct{})
	var renamer sync.WaitGroup
	t.Cleanup(func() {
		close(stop)
		renamer.Wait()
	})
	renamer.Go(func() {
		from, to := elsewhere+"/a", elsewhere+"/b"
		if err := os.Mkdir(from, 0o700); err != nil {
			t.Error(err)
		}
		for {
			select {
			case <-stop:
				return
			default:
				if err := os.Rename(from, to); err != nil {
					t.Error(err)
					return
				}
				from, to = to, from
			}
		}
	})
}

// Nothing stays open, whether unpacking succeeds or not.
func TestUnpackCloses(t *testing.T) {
	testkit.NeedRoot(t)
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := open()
	for _, c := range testkit.HostileLayers(t) {
		q := plenty
		_ = Unpack(bytes.NewReader(c.Layer(t.TempDir())), t.TempDir(), &q)
	}
	if after := open(); after != before {
		t.Errorf("%d descriptors were open, now %d", before, after)
	}
}
