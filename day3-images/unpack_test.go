package main

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

	"golang.org/x/sys/unix"
)

// capNetRaw is security.capability, version 2, with cap_net_raw+ep: see
// struct vfs_cap_data in linux/capability.h.
const capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// aclForUser is u::rwx,u:1000:rwx,g::r-x,m::rwx,o::r-x: see linux/posix_acl_xattr.h.
const aclForUser = "\x02\x00\x00\x00" +
	"\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\xe8\x03\x00\x00" + "\x04\x00\x05\x00\xff\xff\xff\xff" +
	"\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x05\x00\xff\xff\xff\xff"

func digestOf(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

func TestUnpackMetadata(t *testing.T) {
	// Attributes are trusted.*: tmpfs has no user.* before Linux 6.6.
	needRoot(t)
	then := time.Date(2001, 2, 3, 4, 5, 6, 789_012_345, time.UTC)
	old := time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)
	entries := []tarEntry{
		tarDir("./").mode(0o711).owned(1, 2).at(then),
		tarDir("a/").mode(0o1777).owned(3, 4).at(then).xattr("trusted.x", "y"),
		tarFile("a/setuid", "x").mode(0o4755).owned(5, 6).at(then),
		tarFile("a/setgid", "x").mode(0o2755).owned(5, 6).at(old),
		tarFile("a/none", "").mode(0).owned(4_000_000_000, 70_000).at(then),
		tarFile("a/ping", "x").mode(0o755).owned(1000, 1000).at(then).xattr("security.capability", capNetRaw).xattr("trusted.empty", ""),
		tarSymlink("a/link", "no/where").owned(7, 8).at(then).xattr("trusted.x", "on the link"),
		tarNode("a/null", tar.TypeChar, 1, 3).mode(0o666).at(then),
		tarNode("a/disk", tar.TypeBlock, 259, 65_537).mode(0o660).owned(0, 6).at(then).xattr("trusted.x", "on the device"),
		tarNode("a/pipe", tar.TypeFifo, 0, 0).mode(0o622).at(then),
		tarHardLink("a/setuid too", "/a/setuid"),
		tarHardLink("a/link too", "./a/link"),
		tarHardLink("a/pipe too", "a//pipe"),
		tarFile("late/file", "x").at(then), // its directory has an entry, but later
		tarDir("late").mode(0o500).owned(9, 9).at(old),
		tarFile("late/file 2", "x").at(then),
		tarFile("implied/b/file", "x").at(then), // this one's have none
		tarDir("a/sub").mode(0o700).at(then),    // must not change a's times
		tarDir("setgid").mode(0o2775).owned(0, 50).at(then),
		tarFile("setgid/file", "x").at(then),
		tarFile("setgid/implied/file", "x").at(then),
		tarDir("acl").at(then).xattr("system.posix_acl_default", aclForUser),
		tarFile("acl/file", "x").mode(0o640).at(then),
		tarFile("acl/implied/file", "x").mode(0o640).at(then),
		tarFile("again", "x").at(then).xattr("trusted.x", "y"),
		tarFile("again", "x").at(then),
		tarDir("again too").at(then).xattr("trusted.x", "y"),
		tarDir("again too").at(then).xattr("trusted.z", "y"),
	}
	for _, umask := range []int{0o022, 0o077, 0} {
		t.Run(fmt.Sprintf("umask %o", umask), func(t *testing.T) {
			defer syscall.Umask(syscall.Umask(umask))
			dir := unpackTo(t, t.TempDir(), makeTar(t, entries...))
			x, n := digestOf("x"), then.UnixNano()
			sameFacts(t, facts(t, dir), map[string]fact{
				"a":                   {kind: os.ModeDir, mode: 0o1777, owner: "3:4", mtime: n, xattrs: `trusted.x="y"`},
				"a/setuid":            {mode: 0o4755, owner: "5:6", mtime: n, size: 1, content: x, link: "a/setuid"},
				"a/setuid too":        {mode: 0o4755, owner: "5:6", mtime: n, size: 1, content: x, link: "a/setuid"},
				"a/setgid":            {mode: 0o2755, owner: "5:6", mtime: old.UnixNano(), size: 1, content: x},
				"a/none":              {owner: "4000000000:70000", mtime: n, content: digestOf("")},
				"a/ping":              {mode: 0o755, owner: "1000:1000", mtime: n, size: 1, content: x, xattrs: fmt.Sprintf(`security.capability=%q trusted.empty=""`, capNetRaw)},
				"a/link":              {kind: os.ModeSymlink, mode: 0o777, owner: "7:8", mtime: n, target: "no/where", xattrs: `trusted.x="on the link"`, link: "a/link"},
				"a/link too":          {kind: os.ModeSymlink, mode: 0o777, owner: "7:8", mtime: n, target: "no/where", xattrs: `trusted.x="on the link"`, link: "a/link"},
				"a/null":              {kind: os.ModeDevice | os.ModeCharDevice, mode: 0o666, owner: "0:0", mtime: n, device: "1:3"},
				"a/disk":              {kind: os.ModeDevice, mode: 0o660, owner: "0:6", mtime: n, device: "259:65537", xattrs: `trusted.x="on the device"`},
				"a/pipe":              {kind: os.ModeNamedPipe, mode: 0o622, owner: "0:0", mtime: n, link: "a/pipe"},
				"a/pipe too":          {kind: os.ModeNamedPipe, mode: 0o622, owner: "0:0", mtime: n, link: "a/pipe"},
				"a/sub":               {kind: os.ModeDir, mode: 0o700, owner: "0:0", mtime: n},
				"late":                {kind: os.ModeDir, mode: 0o500, owner: "9:9", mtime: old.UnixNano()},
				"late/file":           {mode: 0o644, owner: "0:0", mtime: n, size: 1, content: x},
				"late/file 2":         {mode: 0o644, owner: "0:0", mtime: n, size: 1, content: x},
				"implied":             {kind: os.ModeDir, mode: 0o755, owner: "0:0"},
				"implied/b":           {kind: os.ModeDir, mode: 0o755, owner: "0:0"},
				"implied/b/file":      {mode: 0o644, owner: "0:0", mtime: n, size: 1, content: x},
				"setgid":              {kind: os.ModeDir, mode: 0o2775, owner: "0:50", mtime: n},
				"setgid/file":         {mode: 0o644, owner: "0:0", mtime: n, size: 1, content: x},
				"setgid/implied":      {kind: os.ModeDir, mode: 0o755, owner: "0:0"},
				"setgid/implied/file": {mode: 0o644, owner: "0:0", mtime: n, size: 1, content: x},
				"acl":                 {kind: os.ModeDir, mode: 0o755, owner: "0:0", mtime: n, xattrs: fmt.Sprintf("system.posix_acl_default=%q", aclForUser)},
				"acl/file":            {mode: 0o640, owner: "0:0", mtime: n, size: 1, content: x},
				"acl/implied":         {kind: os.ModeDir, mode: 0o755, owner: "0:0"},
				"acl/implied/file":    {mode: 0o640, owner: "0:0", mtime: n, size: 1, content: x},
				"again":               {mode: 0o644, owner: "0:0", mtime: n, size: 1, content: x},
				"again too":           {kind: os.ModeDir, mode: 0o755, owner: "0:0", mtime: n, xattrs: `trusted.z="y"`},
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

// Entries that do not need each other may come in any order.
func TestUnpackOrder(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	for want, entries := range map[string][]tarEntry{
		"d/opaque! d/file=x d/gone!": {
			tarDir("d/").mode(0o700).at(time.Unix(1, 0)),
			tarFile("d/.wh..wh..opq", ""),
			tarFile("d/file", "x").at(time.Unix(2, 0)),
			tarFile("d/.wh.gone", ""),
		},
		"e/opaque! e/sub/ e/sub/file=x": {
			tarFile(".wh.e", ""),
			tarDir("e").mode(0o700).at(time.Unix(1, 0)),
			tarDir("e/sub").at(time.Unix(2, 0)),
			tarFile("e/sub/file", "x").at(time.Unix(3, 0)),
		},
	} {
		var first map[string]fact
		permute(entries, func(order []tarEntry) {
			dir := unpackTo(t, base, makeTar(t, order...))
			if got := sketch(t, dir); got != want {
				t.Errorf("%v became\n%s, want\n%s", order, got, want)
			}
			now := facts(t, dir)
			delete(now, "d/gone") // a whiteout has the time of its making
			if first == nil {
				first = now
			}
			sameFacts(t, now, first)
		})
	}
}

func permute(all []tarEntry, do func([]tarEntry)) {
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

// What overlayfs shows of layers is what the whiteouts mean.
func TestUnpackedLayersMerge(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	stack := func(layers ...[]tarEntry) string {
		var dirs []string
		for _, entries := range layers {
			dirs = append(dirs, unpackTo(t, base, makeTar(t, entries...)))
		}
		dirs, err := visibleLayers(dirs)
		if err != nil {
			t.Fatal(err)
		}
		return sketch(t, mountOverlay(t, "", dirs...))
	}
	lower := []tarEntry{tarFile("a/1", "1"), tarFile("a/2", "2"), tarFile("b/c/3", "3"), tarSymlink("l", "a"), tarFile("f", "4")}
	for _, c := range []struct {
		name  string
		upper []tarEntry
		want  string
	}{
		{"nothing", nil, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f=4 l->a"},
		{"a file", []tarEntry{tarFile("a/.wh.1", "")}, "a/ a/2=2 b/ b/c/ b/c/3=3 f=4 l->a"},
		{"a directory", []tarEntry{tarFile(".wh.b", "")}, "a/ a/1=1 a/2=2 f=4 l->a"},
		{"a link, not what it names", []tarEntry{tarFile(".wh.l", "")}, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f=4"},
		{"what is in a directory", []tarEntry{tarFile("a/.wh..wh..opq", ""), tarFile("a/n", "n")}, "a/ a/n=n b/ b/c/ b/c/3=3 f=4 l->a"},
		{"a directory, and a new one", []tarEntry{tarFile("a/n", "n"), tarFile(".wh.a", "")}, "a/ a/n=n b/ b/c/ b/c/3=3 f=4 l->a"},
		{"a directory, for a file", []tarEntry{tarFile("b", "n")}, "a/ a/1=1 a/2=2 b=n f=4 l->a"},
		{"a file, for a directory", []tarEntry{tarFile("f/n", "n")}, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f/ f/n=n l->a"},
		{"a file, and then for a directory", []tarEntry{tarFile("a", "n"), tarDir("a")}, "a/ b/ b/c/ b/c/3=3 f=4 l->a"},
		{"what is not there", []tarEntry{tarFile("a/.wh.x", "")}, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f=4 l->a"},
		{"everything", []tarEntry{tarFile(".wh..wh..opq", ""), tarFile("n", "n")}, "n=n"},
		{"where nothing is", []tarEntry{tarFile("new/dir/.wh.x", ""), tarFile("new/n", "n")}, "a/ a/1=1 a/2=2 b/ b/c/ b/c/3=3 f=4 l->a new/ new/dir/ new/n=n"},
		{"twice", []tarEntry{tarFile("a/.wh.1", ""), tarFile("a/.wh..wh..opq", "")}, "a/ b/ b/c/ b/c/3=3 f=4 l->a"},
		{"below what is deleted", []tarEntry{tarFile("b/.wh..wh..opq", ""), tarFile("b/c/.wh.3", "")}, "a/ a/1=1 a/2=2 b/ b/c/ f=4 l->a"},
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

// A file that is mostly zeros takes little room, and has its size.
func TestUnpackHoles(t *testing.T) {
	needRoot(t)
	const size = 64 << 20
	content := bytes.Repeat([]byte{0}, size)
	copy(content[20<<20:], "in the middle")
	entry := tarEntry{tar.Header{Typeflag: tar.TypeReg, Name: "zeros", Size: size, Mode: 0o644}, string(content)}
	dir := unpackTo(t, t.TempDir(), makeTar(t, entry))
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
	needRoot(t)
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
	want := facts(t, filepath.Dir(path))
	for _, flags := range [][]string{{"--format=gnu"}, {"--sparse-version=0.0"}, {"--sparse-version=0.1"}, {"--sparse-version=1.0"}} {
		t.Run(flags[0], func(t *testing.T) {
			args := append(flags, "--sparse", "-c", "-C", filepath.Dir(path), "sparse")
			if !strings.HasPrefix(flags[0], "--format") {
				args = append([]string{"--format=posix"}, args...)
			}
			layer := toolOutput(t, "tar", args...)
			if len(layer) > 1<<20 {
				t.Fatalf("tar wrote %d bytes", len(layer))
			}
			dir := unpackTo(t, t.TempDir(), layer)
			got := facts(t, dir)
			if f := got["sparse"]; flags[0] == "--format=gnu" { // has whole seconds
				w := want["sparse"]
				f.mtime, w.mtime = f.mtime/1e9, w.mtime/1e9
				got, want := map[string]fact{"sparse": f}, map[string]fact{"sparse": w}
				sameFacts(t, got, want)
				return
			}
			sameFacts(t, got, want)
		})
	}
}

// Layers of one image are unpacked at the same time and share a quota.
func TestUnpackQuotaIsShared(t *testing.T) {
	needRoot(t)
	layer := makeTar(t, tarFile("a", strings.Repeat("x", 1000)), tarFile("b", ""))
	size := int64(len(layer))
	for _, c := range []struct {
		q    quota
		want error
	}{
		{quota{8 * size, 16}, nil},
		{quota{8*size - 1, 16}, errTooManyBytes},
		{quota{8 * size, 15}, errTooManyEntries},
		{quota{0, 0}, errTooManyBytes},
	} {
		q := c.q
		errs := make([]error, 8)
		var wait sync.WaitGroup
		for i := range errs {
			dir := t.TempDir()
			wait.Go(func() { errs[i] = unpackLayer(bytes.NewReader(layer), dir, &q) })
		}
		wait.Wait()
		if err := errors.Join(errs...); !errors.Is(err, c.want) || c.want == nil && q != (quota{}) {
			t.Errorf("%+v: %v, and %+v left, want %v", c.q, err, q, c.want)
		}
	}
}

// unpackLayer reads everything: a digest is taken of what it reads.
func TestUnpackReadsToTheEnd(t *testing.T) {
	needRoot(t)
	for _, behind := range []string{"", "x", strings.Repeat("\x00", 10240), strings.Repeat("behind ", 100_000)} {
		r := strings.NewReader(string(makeTar(t, tarFile("a", "x"))) + behind)
		q := plenty
		if err := unpackLayer(r, t.TempDir(), &q); err != nil || r.Len() != 0 {
			t.Errorf("%d bytes were left, error %v", r.Len(), err)
		}
	}
}

func TestUnpackReadError(t *testing.T) {
	needRoot(t)
	layer := makeTar(t, tarFile("a", strings.Repeat("x", 10_000)), tarFile("b", "y"))
	broken := errors.New("the network is gone")
	for n := range len(layer) + 1 {
		if n%512 > 1 && n%97 != 0 {
			continue
		}
		q := plenty
		r := io.MultiReader(bytes.NewReader(layer[:n]), errorReader{broken})
		if err := unpackLayer(r, t.TempDir(), &q); !errors.Is(err, broken) {
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
	needRoot(t)
	for _, c := range []struct {
		options string
		layer   []tarEntry
		words   string
	}{
		{"mode=700", []tarEntry{tarFile("a", "x"), tarFile("dir/big", strings.Repeat("x", 2<<20))}, `layer entry "dir/big"`},
		{"nr_inodes=4", []tarEntry{tarFile("a", "x"), tarFile("b", "x"), tarFile("c", "x"), tarFile("d", "x")}, `layer entry "d"`},
	} {
		q := plenty
		err := unpackLayer(bytes.NewReader(makeTar(t, c.layer...)), small(t, c.options), &q)
		if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("the error is %v, want no space, for %s", err, c.words)
		}
	}
}

// A layer without an entry for its top can be entered by everybody.
func TestUnpackTop(t *testing.T) {
	needRoot(t)
	dir := unpackTo(t, t.TempDir(), makeTar(t, tarFile("a", "")))
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil || st.Mode&0o7777 != 0o755 {
		t.Errorf("its mode is %o, %v", st.Mode&0o7777, err)
	}
}

func TestUnpackTo(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{filepath.Join(dir, "missing"): unix.ENOENT, file: unix.ENOTDIR} {
		q := plenty
		err := unpackLayer(bytes.NewReader(makeTar(t)), path, &q)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error is %v, want %v", path, err, want)
		}
	}
	readOnly := small(t, "ro")
	q := plenty
	if err := unpackLayer(bytes.NewReader(makeTar(t, tarFile("a", ""))), readOnly, &q); !errors.Is(err, unix.EROFS) {
		t.Errorf("read-only: the error is %v", err)
	}
}

// openat2 gives up with EAGAIN when .. is resolved while something, anywhere,
// is renamed.
func TestUnpackWhileOthersRename(t *testing.T) {
	needRoot(t)
	rename(t)
	const files = 1000
	entries := []tarEntry{tarDir("a"), tarDir("b"), tarSymlink("a/up", strings.Repeat("../", 100)+"b")}
	for i := range files {
		entries = append(entries, tarFile(fmt.Sprintf("a/up/%d", i), ""), tarFile(fmt.Sprintf("a/%d", i), ""))
	}
	dir := unpackTo(t, t.TempDir(), makeTar(t, entries...))
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

// Nothing stays open, whether it works or not.
func TestUnpackCloses(t *testing.T) {
	needRoot(t)
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := open()
	for _, c := range hostileLayers(t) {
		q := plenty
		_ = unpackLayer(bytes.NewReader(c.layer(t.TempDir())), t.TempDir(), &q)
	}
	if after := open(); after != before {
		t.Errorf("%d descriptors were open, now %d", before, after)
	}
}
