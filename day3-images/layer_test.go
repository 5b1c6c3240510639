package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A tarEntry is one file of a tar made for a test.
type tarEntry struct {
	tar.Header
	content string
}

func tarFile(name, content string) tarEntry {
	return tarEntry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}

func tarDir(name string) tarEntry {
	return tarEntry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

func tarSymlink(name, target string) tarEntry {
	return tarEntry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

func tarHardLink(name, target string) tarEntry {
	return tarEntry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o644}}
}

func tarNode(name string, kind byte, major, minor int64) tarEntry {
	return tarEntry{Header: tar.Header{Typeflag: kind, Name: name, Mode: 0o600, Devmajor: major, Devminor: minor}}
}

// mode, owned, at and with change an entry and return it.
func (e tarEntry) mode(mode int64) tarEntry    { e.Mode = mode; return e }
func (e tarEntry) owned(uid, gid int) tarEntry { e.Uid, e.Gid = uid, gid; return e }
func (e tarEntry) at(mtime time.Time) tarEntry { e.ModTime = mtime; e.Format = tar.FormatPAX; return e }
func (e tarEntry) with(k, value string) tarEntry {
	records := map[string]string{k: value}
	for k, v := range e.PAXRecords {
		records[k] = v
	}
	e.PAXRecords, e.Format = records, tar.FormatPAX
	return e
}
func (e tarEntry) xattr(name, value string) tarEntry { return e.with("SCHILY.xattr."+name, value) }

func makeTar(t testing.TB, entries ...tarEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatalf("make a tar: %q: %v", e.Name, err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatalf("make a tar: %q: %v", e.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A rawEntry is an entry as archive/tar would not write it: the fields are put
// into the block as they are.
type rawEntry struct {
	name, link, size, mode, devMajor string
	kind                             byte
	content                          string
	gnu                              bool   // the magic of GNU tar instead of POSIX's
	sparse                           string // GNU's fields from offset 386 on
}

func (e rawEntry) bytes() []byte {
	var block [512]byte
	field := func(offset, length int, value, fallback string) {
		if value == "" {
			value = fallback
		}
		copy(block[offset:offset+length], value)
	}
	field(0, 100, e.name, "")
	field(100, 8, e.mode, "0000644\x00")
	field(108, 8, "0000000\x00", "")
	field(116, 8, "0000000\x00", "")
	field(124, 12, e.size, fmt.Sprintf("%011o\x00", len(e.content)))
	field(136, 12, "00000000000\x00", "")
	block[156] = e.kind
	field(157, 100, e.link, "")
	if e.gnu {
		field(257, 8, "ustar  \x00", "")
		field(386, 109, e.sparse, "")
	} else {
		field(257, 8, "ustar\x0000", "")
	}
	field(329, 8, e.devMajor, "0000000\x00")
	field(337, 8, "0000000\x00", "")
	field(148, 8, "        ", "")
	sum := 0
	for _, c := range block {
		sum += int(c)
	}
	field(148, 8, fmt.Sprintf("%06o\x00 ", sum), "")
	padding := make([]byte, -len(e.content)&511)
	return slices.Concat(block[:], []byte(e.content), padding)
}

// rawTar is a tar of raw entries with its end.
func rawTar(entries ...rawEntry) []byte {
	var b []byte
	for _, e := range entries {
		b = append(b, e.bytes()...)
	}
	return append(b, make([]byte, 1024)...)
}

// paxRecord is one line of an extended header.
func paxRecord(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	size := len(rest) + 1
	for size != len(fmt.Sprint(size))+len(rest) {
		size = len(fmt.Sprint(size)) + len(rest)
	}
	return fmt.Sprint(size) + rest
}

var plenty = quota{bytes: 1 << 30, entries: 1 << 20}

// unpackTo unpacks a tar into a new directory below base.
func unpackTo(t testing.TB, base string, layer []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp(base, "layer.")
	if err != nil {
		t.Fatal(err)
	}
	q := plenty
	if err := unpackLayer(bytes.NewReader(layer), dir, &q); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A fact is all that counts of a file: two files are the same if their facts are.
type fact struct {
	kind    fs.FileMode
	mode    uint32 // permissions, setuid, setgid and sticky
	owner   string
	mtime   int64
	size    int64
	device  string
	target  string // of a symbolic link
	content string // digest
	xattrs  string
	link    string // the first of its names, if it has several
}

// facts collects the facts of all files in a directory, by name.
func facts(t testing.TB, dir string) map[string]fact {
	t.Helper()
	all, err := collectFacts(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func collectFacts(dir string) (map[string]fact, error) {
	all := map[string]fact{}
	names := map[[2]uint64][]string{} // by inode
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		f := fact{
			kind:  d.Type(),
			mode:  st.Mode & 0o7777,
			owner: fmt.Sprintf("%d:%d", st.Uid, st.Gid),
			mtime: st.Mtim.Nano(),
		}
		if st.Nlink > 1 && !d.IsDir() && !whiteoutNode(&st) {
			inode := [2]uint64{st.Dev, st.Ino}
			names[inode] = append(names[inode], name)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f.size, f.content = st.Size, fmt.Sprintf("%x", sha256.Sum256(content))
		case unix.S_IFLNK:
			if f.target, err = os.Readlink(path); err != nil {
				return err
			}
		case unix.S_IFCHR, unix.S_IFBLK:
			f.device = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		}
		f.xattrs, err = xattrsOf(path)
		all[name] = f
		return err
	})
	for _, same := range names {
		for _, name := range same[1:] { // one alone: others are deleted, or elsewhere
			for _, name := range []string{same[0], name} {
				f := all[name]
				f.link = same[0]
				all[name] = f
			}
		}
	}
	return all, err
}

// xattrsOf reads them by the file's name, which the program does not do.
func xattrsOf(path string) (string, error) {
	buffer := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buffer)
	if err == unix.ENOTSUP {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	var all []string
	for _, name := range strings.Split(strings.TrimSuffix(string(buffer[:n]), "\x00"), "\x00") {
		if name == "" || name == "security.selinux" || strings.HasPrefix(name, "trusted.overlay.") && name != "trusted.overlay.opaque" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, fmt.Sprintf("%s=%q", name, value[:n]))
	}
	slices.Sort(all)
	return strings.Join(all, " "), nil
}

// sameFacts fails the test for every file that is not the same in both.
func sameFacts(t testing.TB, got, want map[string]fact) {
	t.Helper()
	shown := 0
	differ := func(format string, args ...any) {
		t.Helper()
		if shown++; shown <= 20 {
			t.Errorf(format, args...)
		}
	}
	for name, w := range want {
		if g, ok := got[name]; !ok {
			differ("%q is missing", name)
		} else if g != w {
			differ("%q is\n\t%+v, want\n\t%+v", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			differ("%q should not be there", name)
		}
	}
	if shown > 20 {
		t.Errorf("and %d more", shown-20)
	}
}

// sketch draws a directory in short: "a/ a/f=text a/l->f a/gone! b/opaque! p|",
// sorted by name.
func sketch(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name += "=" + string(content)
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			name += "->" + target
		case unix.S_IFDIR:
			opaque, err := saysOpaque(path)
			if err != nil {
				return err
			}
			if name += "/"; opaque {
				name += "opaque!"
			}
			if name == "./" {
				return nil
			}
		case unix.S_IFCHR, unix.S_IFBLK:
			if whiteoutNode(&st) {
				name += "!"
			} else {
				name += fmt.Sprintf(" %c %d:%d", "cb"[st.Mode&unix.S_IFMT>>14&1], unix.Major(st.Rdev), unix.Minor(st.Rdev))
			}
		case unix.S_IFIFO:
			name += "|"
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// mountOverlay stacks layers, the lowest first, and returns where; upper, if
// not "", takes changes. Without it the mount cannot be changed.
func whiteoutNode(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

func saysOpaque(dir string) (bool, error) {
	var value [1]byte
	n, err := unix.Lgetxattr(dir, "trusted.overlay.opaque", value[:])
	if err == unix.ENODATA || err == unix.ENOTSUP {
		return false, nil
	}
	return n == 1 && value[0] == 'y', err
}

func mountOverlay(t testing.TB, upper string, layers ...string) string {
	t.Helper()
	merged := t.TempDir()
	slices.Reverse(layers)
	if len(layers) == 1 && upper == "" {
		layers = append(layers, t.TempDir()) // overlayfs wants two
	}
	options := "lowerdir=" + strings.Join(layers, ":")
	if upper != "" {
		options += ",redirect_dir=off,metacopy=off,upperdir=" + upper + ",workdir=" + t.TempDir()
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatalf("mount an overlay (%s): %v", options, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(merged, 0); err != nil {
			t.Error(err)
		}
	})
	return merged
}

// judge is another program's view of everything in a directory but one part
// of it: names, types, modes, owners, sizes, link counts, times of the last
// change of content and of inode, and content.
func judge(t testing.TB, dir, except string) string {
	t.Helper()
	look := exec.Command("find", dir, "-path", except, "-prune", "-o", "-printf", `%p %y %m %U:%G %s %n %T@ %C@ %l\n`)
	sums := exec.Command("find", dir, "-path", except, "-prune", "-o", "-type", "f", "-exec", "sha256sum", "{}", "+")
	var seen []string
	for _, cmd := range []*exec.Cmd{look, sums} {
		cmd.Stderr = os.Stderr
		output, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, strings.Split(string(output), "\n")...)
	}
	slices.Sort(seen)
	return strings.Join(seen, "\n")
}

// toolOutput runs a program that must succeed and returns what it printed.
func toolOutput(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, complaint.String())
	}
	return printed
}
