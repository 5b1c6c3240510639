package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A hostileLayer is refused with an error that has these words, or becomes what
// is drawn, see sketch.
type hostileLayer struct {
	name    string
	layer   func(outside string) []byte // outside: the absolute path of a directory next to the layer
	refused string
	becomes string // OUT: the path of outside, but in the layer
}

// hostileLayers are all the ways we know to write where a layer should not.
func hostileLayers(t testing.TB) []hostileLayer {
	entries := func(all ...tarEntry) func(string) []byte {
		return func(string) []byte { return makeTar(t, all...) }
	}
	withOutside := func(all func(outside string) []tarEntry) func(string) []byte {
		return func(outside string) []byte { return makeTar(t, all(outside)...) }
	}
	raw := func(all ...rawEntry) func(string) []byte {
		return func(string) []byte { return rawTar(all...) }
	}
	const dotdot = "may lead out of the layer"
	up := strings.Repeat("../", 20)
	f := tarFile
	return []hostileLayer{
		// Names that lead out.
		{name: "..", layer: entries(f("..", "x")), refused: dotdot},
		{name: "../", layer: entries(tarDir("../")), refused: dotdot},
		{name: "../x", layer: entries(f("../canary", "x")), refused: dotdot},
		{name: "/../x", layer: entries(f("/../canary", "x")), refused: dotdot},
		{name: "./../x", layer: entries(f("./../canary", "x")), refused: dotdot},
		{name: "a/../../x", layer: entries(tarDir("a"), f("a/../../canary", "x")), refused: dotdot},
		{name: "a/..", layer: entries(tarDir("a/..")), refused: dotdot},
		{name: "a/../b inside", layer: entries(f("a/../b", "x")), refused: dotdot},
		{name: "link/..", layer: entries(tarSymlink("l", "a/b/c"), f("l/../x", "x")), refused: dotdot},
		{name: "many ..", layer: withOutside(func(o string) []tarEntry { return []tarEntry{f(up+o[1:]+"/canary", "x")} }), refused: dotdot},
		{name: ".. in a hard link", layer: entries(tarHardLink("x", "../outside/canary")), refused: dotdot},
		{name: ".. in a long name", layer: entries(f(strings.Repeat("a/", 200)+up+"x", "x")), refused: dotdot},
		{name: "absolute", layer: withOutside(func(o string) []tarEntry { return []tarEntry{f(o+"/canary", "x")} }), becomes: "OUT/ OUT/canary=x"},
		{name: "absolute /etc", layer: entries(f("/etc/go-docker-canary", "x")), becomes: "etc/ etc/go-docker-canary=x"},
		{name: "//x", layer: entries(f("//etc//./go-docker-canary", "x")), becomes: "etc/ etc/go-docker-canary=x"},
		{name: "... is a name", layer: entries(f(".../x", "x")), becomes: ".../ .../x=x"},
		{name: "backslashes are no separators", layer: entries(f(`..\..\x`, "x")), becomes: `..\..\x=x`},
		{name: "/proc/self/root", layer: entries(f("proc/self/root/go-docker-canary", "x")), becomes: "proc/ proc/self/ proc/self/root/ proc/self/root/go-docker-canary=x"},

		// Symbolic links that lead out.
		{name: "through an absolute link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o), f("l/canary", "x")}
		}), becomes: "l->/OUT OUT/ OUT/canary=x"},
		{name: "through a relative link", layer: entries(tarSymlink("l", "../outside"), f("l/canary", "x")), becomes: "l->../outside outside/ outside/canary=x"},
		{name: "through a link to many ..", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", up+o[1:]), f("l/canary", "x")}
		}), becomes: "l->" + up + "OUT OUT/ OUT/canary=x"},
		{name: "through a link to ..", layer: entries(tarSymlink("l", ".."), f("l/outside/canary", "x")), becomes: "l->.. outside/ outside/canary=x"},
		{name: "through a link to /", layer: entries(tarSymlink("l", "/"), f("l/canary", "x")), becomes: "canary=x l->/"},
		{name: "through two links", layer: entries(tarDir("a"), tarSymlink("a/b", ".."), tarSymlink("c", "a/b/.."), f("c/outside/canary", "x")), becomes: "a/ a/b->.. c->a/b/.. outside/ outside/canary=x"},
		{name: "through a link made after", layer: entries(tarDir("a"), f("a/x", "1"), tarSymlink("a", "../outside"), f("a/canary", "x")), becomes: "a->../outside outside/ outside/canary=x"},
		{name: "through a link that changes", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarDir("a"), tarSymlink("l", "a"), f("l/x", "1"), tarSymlink("l", o), f("l/x", "2")}
		}), becomes: "a/ a/x=1 l->/OUT OUT/ OUT/x=2"},
		{name: "the parent swapped while open", layer: entries(tarDir("a"), f("a/x", "1"), tarSymlink("a", "../outside"), f("a/x", "2")), becomes: "a->../outside outside/ outside/x=2"},
		{name: "over a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o+"/canary"), f("l", "x")}
		}), becomes: "l=x"},
		{name: "a directory over a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o), tarDir("l").mode(0o777), f("l/canary", "x")}
		}), becomes: "l/opaque! l/canary=x"},
		{name: "a link over a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o), tarSymlink("l", "a")}
		}), becomes: "l->a"},
		{name: "a device over a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o+"/canary"), tarNode("l", tar.TypeChar, 1, 3)}
		}), becomes: "l c 1:3"},
		{name: "mode and owner of a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o+"/canary").mode(0o4777).owned(1, 1)}
		}), becomes: "l->/OUT/canary"},
		{name: "xattr of a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o+"/canary").xattr("trusted.x", "y")}
		}), becomes: "l->/OUT/canary"},
		{name: "user xattr of a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o+"/canary").xattr("user.x", "y")}
		}), refused: `set the extended attribute "user.x"`},
		{name: "link loop", layer: entries(tarSymlink("a", "b"), tarSymlink("b", "a"), f("a/x", "x")), refused: "too many levels of symbolic links"},
		{name: "link to itself", layer: entries(tarSymlink("a", "a/a"), f("a/x", "x")), refused: "too many levels of symbolic links"},
		{name: "growing link", layer: entries(tarSymlink("a", "a/b"), f("a/x", "x")), refused: "too many levels of symbolic links"},
		{name: "empty link", layer: raw(rawEntry{name: "l", kind: '2'}), refused: "a symbolic link to nothing"},
		{name: "link of 5000 bytes", layer: entries(tarSymlink("l", strings.Repeat("a", 5000))), refused: "file name too long"},
		{name: "link to /proc/self/root", layer: entries(tarSymlink("l", "/proc/self/root"), f("l/canary", "x")), becomes: "l->/proc/self/root proc/ proc/self/ proc/self/root/ proc/self/root/canary=x"},
		{name: "the top as a link", layer: entries(tarSymlink("./", "../outside"), f("canary", "x")), refused: "top of the layer"},
		{name: "the top as a file", layer: raw(rawEntry{name: "/", kind: '0'}), refused: "top of the layer"},
		{name: "dangling link inside", layer: entries(tarDir("var"), tarSymlink("var/run", "/run"), f("var/run/x", "x")), becomes: "run/ run/x=x var/ var/run->/run"},

		// Hard links to what is not the layer's.
		{name: "hard link to an absolute name", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarHardLink("x", o+"/canary"), f("x", "y")}
		}), refused: "not in this layer"},
		{name: "hard link through a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o), tarHardLink("x", "l/canary"), f("x", "y")}
		}), refused: "not in this layer"},
		{name: "hard link through a relative link", layer: entries(tarSymlink("l", "../outside"), tarHardLink("x", "l/canary")), refused: "not in this layer"},
		{name: "hard link to a link, then through it", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o+"/canary"), tarHardLink("x", "l"), f("x", "y")}
		}), becomes: "l->/OUT/canary x=y"},
		{name: "hard link to a link to a directory", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o), tarHardLink("x", "l"), f("x/canary", "y")}
		}), becomes: "l->/OUT OUT/ OUT/canary=y x->/OUT"},
		{name: "hard link to /proc/self/exe", layer: entries(tarHardLink("x", "/proc/self/exe")), refused: "not in this layer"},
		{name: "hard link to a directory", layer: entries(tarDir("a"), tarHardLink("x", "a")), refused: "not a file"},
		{name: "hard link to the top", layer: entries(tarHardLink("x", ".")), refused: "not a file"},
		{name: "hard link to itself", layer: entries(f("x", "y"), tarHardLink("x", "x")), becomes: "x=y"},
		{name: "hard link to nothing", layer: entries(tarHardLink("x", "x")), refused: "not in this layer"},
		{name: "hard link without a target", layer: raw(rawEntry{name: "x", kind: '1'}), refused: "it has no name"},
		{name: "hard link over its own directory", layer: entries(f("a/x", "y"), tarHardLink("a", "a/x")), refused: "no such file"},
		{name: "hard link to a whiteout", layer: entries(f(".wh.x", ""), tarHardLink("y", "x")), refused: "not a file"},
		{name: "hard link to a whiteout's name", layer: entries(f(".wh.x", ""), tarHardLink("y", ".wh.x")), refused: "not in this layer"},
		{name: "a second name is not written through", layer: entries(f("a", "1"), tarHardLink("b", "a"), f("b", "2")), becomes: "a=1 b=2"},

		// Whiteouts.
		{name: "whiteout", layer: entries(f("a/.wh.x", "")), becomes: "a/ a/x!"},
		{name: "whiteout through a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o), f("l/.wh.canary", "")}
		}), becomes: "l->/OUT OUT/ OUT/canary!"},
		{name: "opaque through a link", layer: withOutside(func(o string) []tarEntry {
			return []tarEntry{tarSymlink("l", o), f("l/.wh..wh..opq", "")}
		}), becomes: "l->/OUT OUT/opaque!"},
		{name: "whiteout of ..", layer: entries(f("a/.wh...", "")), refused: "a whiteout of nothing"},
		{name: "whiteout of .", layer: entries(f("a/.wh..", "")), refused: "a whiteout of nothing"},
		{name: "whiteout of nothing", layer: entries(f(".wh.", "")), refused: "a whiteout of nothing"},
		{name: "whiteout with a slash", layer: entries(f(".wh./../../outside/canary", "")), refused: dotdot},
		{name: "whiteout as a directory", layer: entries(f(".wh.a/canary", "")), refused: "is not a directory"},
		{name: "whiteout of ../", layer: entries(f("../.wh.canary", "")), refused: dotdot},
		{name: "whiteout of a whiteout", layer: entries(f(".wh..wh.x", "")), refused: "reserved"},
		{name: "aufs's own", layer: entries(f(".wh..wh.plnk", "")), refused: "reserved"},
		{name: "opaque as a directory", layer: entries(f(".wh..wh..opq/x", "")), refused: "is not a directory"},
		{name: "opaque top", layer: entries(f(".wh..wh..opq", "")), becomes: "./opaque!"},
		{name: "whiteout that is a link", layer: entries(tarSymlink(".wh.x", "../outside/canary")), becomes: "x!"},
		{name: "whiteout after the file", layer: entries(f("x", "y"), f(".wh.x", "")), becomes: "x=y"},
		{name: "whiteout before the file", layer: entries(f(".wh.x", ""), f("x", "y")), becomes: "x=y"},
		{name: "whiteout after the directory", layer: entries(tarDir("x"), f("x/f", "y"), f(".wh.x", "")), becomes: "x/opaque! x/f=y"},
		{name: "whiteout before the directory", layer: entries(f(".wh.x", ""), tarDir("x"), f("x/f", "y")), becomes: "x/opaque! x/f=y"},
		{name: "whiteout before a missing directory", layer: entries(f(".wh.x", ""), f("x/f", "y")), becomes: "x/opaque! x/f=y"},
		{name: "whiteout of a link", layer: entries(tarSymlink("l", "../outside/canary"), f(".wh.l", "")), becomes: "l->../outside/canary"},
		{name: "whiteout under a file", layer: entries(f("a", "x"), f("a/.wh.b", "")), refused: `"a" is not a directory`},
		{name: "overlayfs's whiteout", layer: entries(tarNode("x", tar.TypeChar, 0, 0)), refused: "overlayfs's whiteout"},
		{name: "overlayfs's xattrs", layer: entries(
			tarDir("a").xattr("trusted.overlay.redirect", "/../../outside").xattr("trusted.overlay.opaque", "y"),
			f("b", "x").xattr("trusted.overlay.metacopy", "").xattr("user.overlay.redirect", "/etc/shadow"),
		), becomes: "a/ b=x"},

		// Several entries for one name.
		{name: "file, file", layer: entries(f("a", "1"), f("a", "2")), becomes: "a=2"},
		{name: "long file, short file", layer: entries(f("a", strings.Repeat("1", 9999)), f("a", "2")), becomes: "a=2"},
		{name: "directory, directory", layer: entries(tarDir("a"), f("a/x", "1"), tarDir("a")), becomes: "a/ a/x=1"},
		{name: "directory, file", layer: entries(tarDir("a"), f("a/b/c", "1"), f("a", "2")), becomes: "a=2"},
		{name: "file, directory", layer: entries(f("a", "1"), tarDir("a"), f("a/x", "2")), becomes: "a/opaque! a/x=2"},
		{name: "file, then a file in it", layer: entries(f("a", "1"), f("a/b", "2")), refused: `"a" is not a directory`},
		{name: "device, then a file in it", layer: entries(tarNode("a", tar.TypeChar, 1, 3), f("a/b", "2")), refused: `"a" is not a directory`},
		{name: "directory removed while open", layer: entries(f("a/b/x", "1"), f("a", "2"), f("a/b/y", "3")), refused: `"a" is not a directory`},
		{name: "a parent found through itself", layer: entries(tarDir("a"), tarSymlink("a/l", ".."), f("a/l/x", "1"), f("a/l/a", "2"), f("a/l/y", "3")), refused: `"a" is not a directory`},
		{name: "fifo, file", layer: entries(tarNode("p", tar.TypeFifo, 0, 0), f("p", "x")), becomes: "p=x"},
		{name: "case does not matter", layer: entries(f("A", "1"), f("a", "2")), becomes: "A=1 a=2"},

		// Devices and types.
		{name: "device number out of range", layer: entries(tarNode("d", tar.TypeBlock, 4096, 0)), refused: "no device has the number 4096:0"},
		{name: "negative device number", layer: raw(rawEntry{name: "d", kind: '3', devMajor: "\xff\xff\xff\xff\xff\xff\xff\xff"}), refused: "no device has the number -1:0"},
		{name: "unknown type", layer: raw(rawEntry{name: "x", kind: 'Z'}), refused: `no entries of type 'Z'`},
		{name: "multi-volume", layer: raw(rawEntry{name: "x", kind: 'M', gnu: true}), refused: `no entries of type 'M'`},
		{name: "global header", layer: raw(rawEntry{name: "g", kind: 'g', content: paxRecord("path", "../canary")}, rawEntry{name: "x", kind: '0'}), becomes: "x="},
		{name: "owner -1", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("uid", "-1")}, rawEntry{name: "x", kind: '0'}), refused: "no user or group has the number"},
		{name: "group -1", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("gid", "-1")}, rawEntry{name: "x", kind: '0'}), refused: "no user or group has the number"},
		{name: "owner 2^32-1", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("uid", "4294967295")}, rawEntry{name: "x", kind: '0'}), refused: "no user or group has the number"},
		{name: "group 2^32-1", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("gid", "4294967295")}, rawEntry{name: "x", kind: '0'}), refused: "no user or group has the number"},
		{name: "negative mode", layer: raw(rawEntry{name: "x", kind: '0', mode: "\xff\xff\xff\xff\xff\xff\xff\xff"}), becomes: "x="},

		// Names that are none.
		{name: "no name", layer: raw(rawEntry{kind: '0'}), refused: "it has no name"},
		{name: "NUL in a PAX name", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("path", "a\x00b")}, rawEntry{name: "x", kind: '0'}), refused: "invalid tar header"},
		{name: "NUL in a GNU name", layer: raw(rawEntry{name: "././@LongLink", kind: 'L', gnu: true, content: "a\x00/../../b\x00"}, rawEntry{name: "x", kind: '0', gnu: true}), becomes: "a="},
		{name: "256 bytes", layer: entries(f(strings.Repeat("a", 256), "x")), refused: "file name too long"},
		{name: "256 bytes in the middle", layer: entries(f("a/"+strings.Repeat("b", 256)+"/c", "x")), refused: "file name too long"},
		{name: "5000 bytes", layer: entries(f(strings.Repeat("a/", 2500)+"x", "x")), refused: "file name too long"},
		{name: "2 MiB", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("path", strings.Repeat("a", 2<<20))}, rawEntry{name: "x", kind: '0'}), refused: "header field too long"},
		{name: "newline and escape in an error", layer: entries(f("a\n\x1b[2J/..", "x")), refused: `"a\n\x1b[2J/.."`},

		// Sizes.
		{name: "negative size", layer: raw(rawEntry{name: "x", kind: '0', size: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}), refused: "invalid tar header"},
		{name: "negative PAX size", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("size", "-512")}, rawEntry{name: "x", kind: '0'}), refused: "invalid tar header"},
		{name: "overflowing PAX size", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("size", "9223372036854775808")}, rawEntry{name: "x", kind: '0'}), refused: "invalid tar header"},
		{name: "8 EiB", layer: raw(rawEntry{name: "x", kind: '0', size: "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"}), refused: "more bytes than is allowed"},
		{name: "more than there is", layer: raw(rawEntry{name: "x", kind: '0', size: "00000100000\x00"}), refused: "it was cut off"},
		{name: "directory with a size", layer: raw(rawEntry{name: "a/", kind: '5', size: "00000001000\x00"}), becomes: "a/"},
		{name: "size that is not octal", layer: raw(rawEntry{name: "x", kind: '0', size: "99999999999\x00"}), refused: "invalid tar header"},
		{name: "sparse 8 EiB", layer: raw(rawEntry{name: "x", kind: 'S', gnu: true, sparse: strings.Repeat("\x00", 97) + "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"}), refused: "more bytes than is allowed"},
		{name: "sparse beyond its size", layer: raw(rawEntry{name: "x", kind: 'S', gnu: true, sparse: "00000001000\x0000000001000\x00" + strings.Repeat("\x00", 73) + "00000000001\x00"}), refused: "invalid tar header"},
		{name: "sparse 1.0, a map of 2^62", layer: raw(
			rawEntry{name: "h", kind: 'x', content: paxRecord("GNU.sparse.major", "1") + paxRecord("GNU.sparse.minor", "0") + paxRecord("GNU.sparse.realsize", "10")},
			rawEntry{name: "x", kind: '0', content: "4611686018427387904\n" + strings.Repeat("0\n", 246)}), refused: "layer"},
		{name: "sparse 1.0, its name", layer: raw(
			rawEntry{name: "h", kind: 'x', content: paxRecord("GNU.sparse.major", "1") + paxRecord("GNU.sparse.minor", "0") + paxRecord("GNU.sparse.name", "../canary") + paxRecord("GNU.sparse.realsize", "0")},
			rawEntry{name: "x", kind: '0', content: "0\n" + strings.Repeat("\x00", 510)}), refused: dotdot},

		// Damage.
		{name: "nothing", layer: func(string) []byte { return nil }, becomes: ""},
		{name: "one zero block", layer: func(string) []byte { return make([]byte, 512) }, becomes: ""},
		{name: "half a block", layer: func(string) []byte { return make([]byte, 100) }, refused: "cut off"},
		{name: "no end", layer: func(string) []byte { return rawEntry{name: "x", kind: '0'}.bytes() }, becomes: "x="},
		{name: "cut off in a header", layer: func(string) []byte { return rawEntry{name: "x", kind: '0'}.bytes()[:300] }, refused: "cut off"},
		{name: "cut off in a file", layer: func(string) []byte {
			return rawEntry{name: "x", kind: '0', content: strings.Repeat("y", 1000)}.bytes()[:1000]
		}, refused: "cut off"},
		{name: "bad checksum", layer: func(string) []byte { b := makeTar(t, f("x", "y")); b[0] = 'z'; return b }, refused: "damaged, or not a tar"},
		{name: "text", layer: func(string) []byte { return []byte(strings.Repeat("not a tar at all\n", 100)) }, refused: "damaged, or not a tar"},
		{name: "garbage behind the end", layer: func(string) []byte { return append(makeTar(t, f("x", "y")), "garbage"...) }, becomes: "x=y"},
		{name: "another tar behind the end", layer: func(string) []byte { return append(makeTar(t, f("x", "y")), makeTar(t, f("z", ""))...) }, becomes: "x=y"},
		{name: "a header of nothing at the end", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("path", "x")}), becomes: ""},
		{name: "broken PAX record", layer: raw(rawEntry{name: "h", kind: 'x', content: "99999 path=x\n"}, rawEntry{name: "x", kind: '0'}), refused: "invalid tar header"},
		{name: "xattr without a name", layer: entries(f("x", "y").xattr("", "z")), refused: "set the extended attribute"},
		{name: "xattr of an unknown kind", layer: entries(f("x", "y").xattr("nosuch.x", "z")), becomes: "x=y"},
		{name: "xattr of 70 kB", layer: entries(f("x", "y").xattr("user.x", strings.Repeat("z", 70000))), refused: "set the extended attribute"},
		{name: "time out of range", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("mtime", "9223372036854775807.9")}, rawEntry{name: "x", kind: '0'}), becomes: "x="},
		{name: "time before the beginning", layer: raw(rawEntry{name: "h", kind: 'x', content: paxRecord("mtime", "-9223372036854775807.9")}, rawEntry{name: "x", kind: '0'}), becomes: "x="},
	}
}

// Whatever a layer says, nothing changes outside of it. find(1) is the judge.
func TestUnpackHostile(t *testing.T) {
	needRoot(t)
	for _, c := range hostileLayers(t) {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			outside, layer := filepath.Join(base, "outside"), filepath.Join(base, "store", "layer")
			for _, dir := range []string{outside, filepath.Dir(layer), layer} {
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range []string{outside + "/canary", base + "/canary", base + "/store/canary"} {
				if err := os.WriteFile(file, []byte("sings"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before := judge(t, base, layer)
			q := plenty
			err := unpackLayer(bytes.NewReader(c.layer(outside)), layer, &q)
			if after := judge(t, base, layer); after != before {
				t.Errorf("outside was\n%s\nand is\n%s", before, after)
			}
			for _, path := range []string{"/go-docker-canary", "/etc/go-docker-canary"} {
				if _, err := os.Lstat(path); err == nil {
					t.Errorf("%s was made", path)
				}
			}
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) || strings.ContainsAny(err.Error(), "\n\x1b") {
					t.Errorf("the error is %v, want one line with %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			above := ""
			for i, c := range outside {
				if c == '/' && i > 0 {
					above += outside[1:i] + "/ "
				}
			}
			got := strings.ReplaceAll(sketch(t, layer), above, "")
			if got = strings.ReplaceAll(got, outside[1:], "OUT"); got != c.becomes {
				t.Errorf("it became %s\nwant      %s", got, c.becomes)
			}
		})
	}
}

// An endless is a tar that does not end: each is made of the same blocks.
type endless struct {
	blocks []byte
	at     int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.blocks[e.at:])
	e.at = (e.at + n) % len(e.blocks)
	return n, nil
}

var errSparseMap = errors.New("archive/tar: sparse map too long")

// Bombs end with an error, soon and without much memory.
func TestUnpackBombs(t *testing.T) {
	needRoot(t)
	long := strings.Repeat("x", 1<<20-100)
	fragments := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d\n1\n", 2*i)
		}
		return b.String()
	}
	sparse := func(size string, entries int) io.Reader {
		m := fmt.Sprint(entries) + "\n" + fragments(entries)
		m += strings.Repeat("\x00", -len(m)&511) + strings.Repeat("d", entries)
		return bytes.NewReader(rawTar(
			rawEntry{name: "h", kind: 'x', content: paxRecord("GNU.sparse.major", "1") + paxRecord("GNU.sparse.minor", "0") + paxRecord("GNU.sparse.realsize", size)},
			rawEntry{name: "x", kind: '0', content: m}))
	}
	again := func(entries ...rawEntry) io.Reader {
		var blocks []byte
		for _, e := range entries {
			blocks = append(blocks, e.bytes()...)
		}
		return &endless{blocks: blocks}
	}
	for _, c := range []struct {
		name  string
		layer func() io.Reader
		quota quota
		err   error
	}{
		{"endless empty files", func() io.Reader { return again(rawEntry{name: "x", kind: '0'}) }, quota{1 << 40, 10_000}, errTooManyEntries},
		{"endless extended headers", func() io.Reader { return again(rawEntry{name: "h", kind: 'x', content: paxRecord("comment", long)}) }, quota{256 << 20, 10_000}, errTooManyBytes},
		{"endless global headers", func() io.Reader { return again(rawEntry{name: "g", kind: 'g', content: paxRecord("comment", "x")}) }, quota{1 << 40, 10_000}, errTooManyEntries},
		{"endless long names", func() io.Reader { return again(rawEntry{name: "l", kind: 'L', gnu: true, content: long}) }, quota{256 << 20, 10_000}, errTooManyBytes},
		{"endless zeros behind the end", func() io.Reader { return &endless{blocks: make([]byte, 1024)} }, quota{1 << 30, 10_000}, errTooManyBytes},
		{"an endless file", func() io.Reader {
			return io.MultiReader(bytes.NewReader(rawEntry{name: "x", kind: '0', size: "77777777777\x00"}.bytes()), &endless{blocks: make([]byte, 512)})
		}, quota{1 << 30, 10}, errTooManyBytes},
		{"an endless file that just fits", func() io.Reader {
			return io.MultiReader(bytes.NewReader(rawEntry{name: "x", kind: '0', size: "04000000000\x00"}.bytes()), &endless{blocks: make([]byte, 512)})
		}, quota{1 << 30, 10}, errTooManyBytes},
		{"directories that are only in one name", func() io.Reader {
			return bytes.NewReader(rawTar(rawEntry{name: "h", kind: 'x', content: paxRecord("path", strings.Repeat("a/", 1000)+"x")}, rawEntry{name: "x", kind: '0'}))
		}, quota{1 << 30, 1000}, errTooManyEntries},
		{"endless holes", func() io.Reader {
			one, err := io.ReadAll(sparse("536870912", 10))
			if err != nil {
				t.Fatal(err)
			}
			return &endless{blocks: one[:len(one)-1024]}
		}, quota{1 << 30, 10}, errTooManyBytes},
		{"a hole of 1 TiB", func() io.Reader { return sparse("1099511627776", 10) }, quota{1 << 30, 10}, errTooManyBytes},
		{"a hole of 1 GiB", func() io.Reader { return sparse("1073741824", 10) }, quota{2 << 30, 10}, nil},
		{"90,000 holes", func() io.Reader { return sparse("1000000", 90_000) }, quota{1 << 30, 10}, nil},
		{"150,000 holes", func() io.Reader { return sparse("1000000", 150_000) }, quota{1 << 30, 10}, errSparseMap},
	} {
		t.Run(c.name, func(t *testing.T) {
			started := time.Now()
			var dir string
			var err error
			var peak uint64
			for range 3 { // garbage that the collector was too late for is no failure
				dir = t.TempDir()
				q := c.quota
				if peak = peakHeap(func() { err = unpackLayer(c.layer(), dir, &q) }); peak <= 64<<20 {
					break
				}
			}
			if c.err == errSparseMap && err != nil {
				err = errors.Unwrap(err) // archive/tar does not export its own
				if err.Error() != errSparseMap.Error() {
					t.Errorf("the error is %v, want %v", err, c.err)
				}
			} else if !errors.Is(err, c.err) {
				t.Errorf("the error is %v, want %v", err, c.err)
			}
			if took := time.Since(started); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			if peak > 64<<20 {
				t.Errorf("it took %d MiB of memory", peak>>20)
			}
			t.Logf("%v, %d MiB", time.Since(started), peak>>20)
			var used unix.Stat_t
			if err := unix.Lstat(filepath.Join(dir, "x"), &used); err == nil && used.Blocks*512 > 16<<20 {
				t.Errorf("it took %d bytes of the disk", used.Blocks*512)
			}
		})
	}
}

// peakHeap returns how much more memory Go's heap had at the highest point
// while do ran. On a busy machine the collector may be late; a limit makes it
// work in time, if there is anything to collect.
func peakHeap(do func()) uint64 {
	var before, now runtime.MemStats
	debug.FreeOSMemory()
	runtime.ReadMemStats(&before)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(before.Sys-before.HeapReleased) + 32<<20))
	var done atomic.Bool
	peak := make(chan uint64)
	go func() {
		var most uint64
		for !done.Load() {
			runtime.ReadMemStats(&now)
			if now.HeapInuse > before.HeapInuse {
				most = max(most, now.HeapInuse-before.HeapInuse)
			}
			time.Sleep(2 * time.Millisecond)
		}
		peak <- most
	}()
	do()
	done.Store(true)
	return <-peak
}
