package testkit

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"
)

// An Entry is one file of a tar made for a test.
type Entry struct {
	tar.Header
	Content string
}

func File(name, content string) Entry {
	return Entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}

func Dir(name string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

func Symlink(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

func HardLink(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o644}}
}

func Node(name string, kind byte, major, minor int64) Entry {
	return Entry{Header: tar.Header{Typeflag: kind, Name: name, Mode: 0o600, Devmajor: major, Devminor: minor}}
}

// WithMode, Owned, At and With change an entry and return it.
func (e Entry) WithMode(mode int64) Entry  { e.Mode = mode; return e }
func (e Entry) Named(name string) Entry    { e.Name = name; return e }
func (e Entry) OwnedBy(uid, gid int) Entry { e.Uid, e.Gid = uid, gid; return e }
func (e Entry) At(mtime time.Time) Entry   { e.ModTime = mtime; e.Format = tar.FormatPAX; return e }
func (e Entry) with(k, value string) Entry {
	records := map[string]string{k: value}
	for k, v := range e.PAXRecords {
		records[k] = v
	}
	e.PAXRecords, e.Format = records, tar.FormatPAX
	return e
}
func (e Entry) Xattr(name, value string) Entry { return e.with("SCHILY.xattr."+name, value) }

func Tar(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatalf("make a tar: %q: %v", e.Name, err)
		}
		if _, err := w.Write([]byte(e.Content)); err != nil {
			t.Fatalf("make a tar: %q: %v", e.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A RawEntry is an entry that archive/tar would not write: its fields go into
// the block as they are.
type RawEntry struct {
	Name, link, Size, mode, devMajor string
	Kind                             byte
	Content                          string
	Gnu                              bool   // the magic of GNU tar instead of POSIX's
	sparse                           string // GNU's fields from offset 386 on
}

func (e RawEntry) Bytes() []byte {
	var block [512]byte
	field := func(offset, length int, value, fallback string) {
		if value == "" {
			value = fallback
		}
		copy(block[offset:offset+length], value)
	}
	field(0, 100, e.Name, "")
	field(100, 8, e.mode, "0000644\x00")
	field(108, 8, "0000000\x00", "")
	field(116, 8, "0000000\x00", "")
	field(124, 12, e.Size, fmt.Sprintf("%011o\x00", len(e.Content)))
	field(136, 12, "00000000000\x00", "")
	block[156] = e.Kind
	field(157, 100, e.link, "")
	if e.Gnu {
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
	padding := make([]byte, -len(e.Content)&511)
	return slices.Concat(block[:], []byte(e.Content), padding)
}

// RawTar returns a complete tar of raw entries.
func RawTar(entries ...RawEntry) []byte {
	var b []byte
	for _, e := range entries {
		b = append(b, e.Bytes()...)
	}
	return append(b, make([]byte, 1024)...)
}

// PaxRecord returns one line of an extended header.
func PaxRecord(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	size := len(rest) + 1
	for size != len(fmt.Sprint(size))+len(rest) {
		size = len(fmt.Sprint(size)) + len(rest)
	}
	return fmt.Sprint(size) + rest
}
