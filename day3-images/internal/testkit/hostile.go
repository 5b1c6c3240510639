package testkit

import (
	"archive/tar"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// CapNetRaw is security.capability, version 2, with cap_net_raw+ep: see
// struct vfs_cap_data in linux/capability.h.
const CapNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// A hostileLayer is refused with an error that has these words, or becomes
// this, see Sketch.
type hostileLayer struct {
	Name    string
	Layer   func(outside string) []byte // outside: absolute path of a directory next to the layer
	Refused string
	Becomes string // OUT: the path of outside, but inside the layer
}

// HostileLayers returns all the ways we know for a layer to write where it
// should not.
func HostileLayers(t testing.TB) []hostileLayer {
	entries := func(all ...Entry) func(string) []byte {
		return func(string) []byte { return Tar(t, all...) }
	}
	withOutside := func(all func(outside string) []Entry) func(string) []byte {
		return func(outside string) []byte { return Tar(t, all(outside)...) }
	}
	raw := func(all ...RawEntry) func(string) []byte {
		return func(string) []byte { return RawTar(all...) }
	}
	const dotdot = "may lead out of the layer"
	up := strings.Repeat("../", 20)
	f := File
	return []hostileLayer{
		// Names that lead out.
		{Name: "..", Layer: entries(f("..", "x")), Refused: dotdot},
		{Name: "../", Layer: entries(Dir("../")), Refused: dotdot},
		{Name: "../x", Layer: entries(f("../canary", "x")), Refused: dotdot},
		{Name: "/../x", Layer: entries(f("/../canary", "x")), Refused: dotdot},
		{Name: "./../x", Layer: entries(f("./../canary", "x")), Refused: dotdot},
		{Name: "a/../../x", Layer: entries(Dir("a"), f("a/../../canary", "x")), Refused: dotdot},
		{Name: "a/..", Layer: entries(Dir("a/..")), Refused: dotdot},
		{Name: "a/../b inside", Layer: entries(f("a/../b", "x")), Refused: dotdot},
		{Name: "link/..", Layer: entries(Symlink("l", "a/b/c"), f("l/../x", "x")), Refused: dotdot},
		{Name: "many ..", Layer: withOutside(func(o string) []Entry { return []Entry{f(up+o[1:]+"/canary", "x")} }), Refused: dotdot},
		{Name: ".. in a hard link", Layer: entries(HardLink("x", "../outside/canary")), Refused: dotdot},
		{Name: ".. in a long name", Layer: entries(f(strings.Repeat("a/", 200)+up+"x", "x")), Refused: dotdot},
		{Name: "absolute", Layer: withOutside(func(o string) []Entry { return []Entry{f(o+"/canary", "x")} }), Becomes: "OUT/ OUT/canary=x"},
		{Name: "absolute /etc", Layer: entries(f("/etc/go-docker-canary", "x")), Becomes: "etc/ etc/go-docker-canary=x"},
		{Name: "//x", Layer: entries(f("//etc//./go-docker-canary", "x")), Becomes: "etc/ etc/go-docker-canary=x"},
		{Name: "... is a name", Layer: entries(f(".../x", "x")), Becomes: ".../ .../x=x"},
		{Name: "backslashes are no separators", Layer: entries(f(`..\..\x`, "x")), Becomes: `..\..\x=x`},
		{Name: "/proc/self/root", Layer: entries(f("proc/self/root/go-docker-canary", "x")), Becomes: "proc/ proc/self/ proc/self/root/ proc/self/root/go-docker-canary=x"},

		// Symbolic links that lead out.
		{Name: "through an absolute link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o), f("l/canary", "x")}
		}), Becomes: "l->/OUT OUT/ OUT/canary=x"},
		{Name: "through a relative link", Layer: entries(Symlink("l", "../outside"), f("l/canary", "x")), Becomes: "l->../outside outside/ outside/canary=x"},
		{Name: "through a link to many ..", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", up+o[1:]), f("l/canary", "x")}
		}), Becomes: "l->" + up + "OUT OUT/ OUT/canary=x"},
		{Name: "through a link to ..", Layer: entries(Symlink("l", ".."), f("l/outside/canary", "x")), Becomes: "l->.. outside/ outside/canary=x"},
		{Name: "through a link to /", Layer: entries(Symlink("l", "/"), f("l/canary", "x")), Becomes: "canary=x l->/"},
		{Name: "through two links", Layer: entries(Dir("a"), Symlink("a/b", ".."), Symlink("c", "a/b/.."), f("c/outside/canary", "x")), Becomes: "a/ a/b->.. c->a/b/.. outside/ outside/canary=x"},
		{Name: "through a link made after", Layer: entries(Dir("a"), f("a/x", "1"), Symlink("a", "../outside"), f("a/canary", "x")), Becomes: "a->../outside outside/ outside/canary=x"},
		{Name: "through a link that changes", Layer: withOutside(func(o string) []Entry {
			return []Entry{Dir("a"), Symlink("l", "a"), f("l/x", "1"), Symlink("l", o), f("l/x", "2")}
		}), Becomes: "a/ a/x=1 l->/OUT OUT/ OUT/x=2"},
		{Name: "the parent swapped while open", Layer: entries(Dir("a"), f("a/x", "1"), Symlink("a", "../outside"), f("a/x", "2")), Becomes: "a->../outside outside/ outside/x=2"},
		{Name: "over a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o+"/canary"), f("l", "x")}
		}), Becomes: "l=x"},
		{Name: "a directory over a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o), Dir("l").WithMode(0o777), f("l/canary", "x")}
		}), Becomes: "l/opaque! l/canary=x"},
		{Name: "a link over a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o), Symlink("l", "a")}
		}), Becomes: "l->a"},
		{Name: "a device over a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o+"/canary"), Node("l", tar.TypeChar, 1, 3)}
		}), Becomes: "l c 1:3"},
		{Name: "mode and owner of a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o+"/canary").WithMode(0o4777).OwnedBy(1, 1)}
		}), Becomes: "l->/OUT/canary"},
		{Name: "xattr of a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o+"/canary").Xattr("trusted.x", "y")}
		}), Becomes: "l->/OUT/canary"},
		{Name: "user xattr of a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o+"/canary").Xattr("user.x", "y"), Node("p", tar.TypeFifo, 0, 0).Xattr("user.x", "y"), Node("n", tar.TypeChar, 1, 3).Xattr("user.x", "y")}
		}), Becomes: "l->/OUT/canary n c 1:3 p|"},
		{Name: "link loop", Layer: entries(Symlink("a", "b"), Symlink("b", "a"), f("a/x", "x")), Refused: "too many levels of symbolic links"},
		{Name: "link to itself", Layer: entries(Symlink("a", "a/a"), f("a/x", "x")), Refused: "too many levels of symbolic links"},
		{Name: "growing link", Layer: entries(Symlink("a", "a/b"), f("a/x", "x")), Refused: "too many levels of symbolic links"},
		{Name: "empty link", Layer: raw(RawEntry{Name: "l", Kind: '2'}), Refused: "a symbolic link to nothing"},
		{Name: "link of 5000 bytes", Layer: entries(Symlink("l", strings.Repeat("a", 5000))), Refused: "file name too long"},
		{Name: "link to /proc/self/root", Layer: entries(Symlink("l", "/proc/self/root"), f("l/canary", "x")), Becomes: "l->/proc/self/root proc/ proc/self/ proc/self/root/ proc/self/root/canary=x"},
		{Name: "the top as a link", Layer: entries(Symlink("./", "../outside"), f("canary", "x")), Refused: "top of the layer"},
		{Name: "the top as a file", Layer: raw(RawEntry{Name: "/", Kind: '0'}), Refused: "top of the layer"},
		{Name: "dangling link inside", Layer: entries(Dir("var"), Symlink("var/run", "/run"), f("var/run/x", "x")), Becomes: "run/ run/x=x var/ var/run->/run"},

		// Hard links to files outside the layer.
		{Name: "hard link to an absolute name", Layer: withOutside(func(o string) []Entry {
			return []Entry{HardLink("x", o+"/canary"), f("x", "y")}
		}), Refused: "not in this layer"},
		{Name: "hard link through a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o), HardLink("x", "l/canary"), f("x", "y")}
		}), Refused: "not in this layer"},
		{Name: "hard link through a relative link", Layer: entries(Symlink("l", "../outside"), HardLink("x", "l/canary")), Refused: "not in this layer"},
		{Name: "hard link to a link, then through it", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o+"/canary"), HardLink("x", "l"), f("x", "y")}
		}), Becomes: "l->/OUT/canary x=y"},
		{Name: "hard link to a link to a directory", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o), HardLink("x", "l"), f("x/canary", "y")}
		}), Becomes: "l->/OUT OUT/ OUT/canary=y x->/OUT"},
		{Name: "hard link to /proc/self/exe", Layer: entries(HardLink("x", "/proc/self/exe")), Refused: "not in this layer"},
		{Name: "hard link to a directory", Layer: entries(Dir("a"), HardLink("x", "a")), Refused: "not a file"},
		{Name: "hard link to the top", Layer: entries(HardLink("x", ".")), Refused: "not a file"},
		{Name: "hard link to itself", Layer: entries(f("x", "y"), HardLink("x", "x")), Becomes: "x=y"},
		{Name: "hard link to nothing", Layer: entries(HardLink("x", "x")), Refused: "not in this layer"},
		{Name: "hard link without a target", Layer: raw(RawEntry{Name: "x", Kind: '1'}), Refused: "it has no name"},
		{Name: "hard link over its own directory", Layer: entries(f("a/x", "y"), HardLink("a", "a/x")), Refused: "no such file"},
		{Name: "hard link to a whiteout", Layer: entries(f(".wh.x", ""), HardLink("y", "x")), Refused: "not a file"},
		{Name: "hard link to a whiteout's name", Layer: entries(f(".wh.x", ""), HardLink("y", ".wh.x")), Refused: "not in this layer"},
		{Name: "a second name is not written through", Layer: entries(f("a", "1"), HardLink("b", "a"), f("b", "2")), Becomes: "a=1 b=2"},

		// Whiteouts.
		{Name: "whiteout", Layer: entries(f("a/.wh.x", "")), Becomes: "a/ a/x!"},
		{Name: "whiteout through a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o), f("l/.wh.canary", "")}
		}), Becomes: "l->/OUT OUT/ OUT/canary!"},
		{Name: "opaque through a link", Layer: withOutside(func(o string) []Entry {
			return []Entry{Symlink("l", o), f("l/.wh..wh..opq", "")}
		}), Becomes: "l->/OUT OUT/opaque!"},
		{Name: "whiteout of ..", Layer: entries(f("a/.wh...", "")), Refused: "a whiteout of nothing"},
		{Name: "whiteout of .", Layer: entries(f("a/.wh..", "")), Refused: "a whiteout of nothing"},
		{Name: "whiteout of nothing", Layer: entries(f(".wh.", "")), Refused: "a whiteout of nothing"},
		{Name: "whiteout with a slash", Layer: entries(f(".wh./../../outside/canary", "")), Refused: dotdot},
		{Name: "whiteout as a directory", Layer: entries(f(".wh.a/canary", "")), Refused: "is not a directory"},
		{Name: "whiteout of ../", Layer: entries(f("../.wh.canary", "")), Refused: dotdot},
		{Name: "whiteout of a whiteout", Layer: entries(f(".wh..wh.x", "")), Refused: "reserved"},
		{Name: "aufs's own", Layer: entries(f(".wh..wh.aufs", ""), Dir(".wh..wh.orph"), Dir("./.wh..wh.plnk/"), f(".wh..wh.plnk/1.2", "x"), f("y", "y")), Becomes: "y=y"},
		{Name: "like aufs's own", Layer: entries(f("a/.wh..wh.plnk", "")), Refused: "reserved"},
		{Name: "opaque as a directory", Layer: entries(f(".wh..wh..opq/x", "")), Refused: "is not a directory"},
		{Name: "opaque top", Layer: entries(f(".wh..wh..opq", "")), Becomes: "./opaque!"},
		{Name: "whiteout that is a link", Layer: entries(Symlink(".wh.x", "../outside/canary")), Becomes: "x!"},
		{Name: "whiteout after the file", Layer: entries(f("x", "y"), f(".wh.x", "")), Becomes: "x=y"},
		{Name: "whiteout before the file", Layer: entries(f(".wh.x", ""), f("x", "y")), Becomes: "x=y"},
		{Name: "whiteout after the directory", Layer: entries(Dir("x"), f("x/f", "y"), f(".wh.x", "")), Becomes: "x/opaque! x/f=y"},
		{Name: "whiteout before the directory", Layer: entries(f(".wh.x", ""), Dir("x"), f("x/f", "y")), Becomes: "x/opaque! x/f=y"},
		{Name: "whiteout before a missing directory", Layer: entries(f(".wh.x", ""), f("x/f", "y")), Becomes: "x/opaque! x/f=y"},
		{Name: "whiteout of a link", Layer: entries(Symlink("l", "../outside/canary"), f(".wh.l", "")), Becomes: "l->../outside/canary"},
		{Name: "whiteout under a file", Layer: entries(f("a", "x"), f("a/.wh.b", "")), Refused: `"a" is not a directory`},
		{Name: "overlayfs's whiteout", Layer: entries(Node("x", tar.TypeChar, 0, 0)), Refused: "overlayfs's whiteout"},
		{Name: "overlayfs's xattrs", Layer: entries(
			Dir("a").Xattr("trusted.overlay.redirect", "/../../outside").Xattr("trusted.overlay.opaque", "y"),
			f("b", "x").Xattr("trusted.overlay.metacopy", "").Xattr("user.overlay.redirect", "/etc/shadow"),
		), Becomes: "a/ b=x"},

		// Several entries for one name.
		{Name: "file, file", Layer: entries(f("a", "1"), f("a", "2")), Becomes: "a=2"},
		{Name: "long file, short file", Layer: entries(f("a", strings.Repeat("1", 9999)), f("a", "2")), Becomes: "a=2"},
		{Name: "directory, directory", Layer: entries(Dir("a"), f("a/x", "1"), Dir("a")), Becomes: "a/ a/x=1"},
		{Name: "directory, file", Layer: entries(Dir("a"), f("a/b/c", "1"), f("a", "2")), Becomes: "a=2"},
		{Name: "file, directory", Layer: entries(f("a", "1"), Dir("a"), f("a/x", "2")), Becomes: "a/opaque! a/x=2"},
		{Name: "file, then a file in it", Layer: entries(f("a", "1"), f("a/b", "2")), Refused: `"a" is not a directory`},
		{Name: "device, then a file in it", Layer: entries(Node("a", tar.TypeChar, 1, 3), f("a/b", "2")), Refused: `"a" is not a directory`},
		{Name: "directory removed while open", Layer: entries(f("a/b/x", "1"), f("a", "2"), f("a/b/y", "3")), Refused: `"a" is not a directory`},
		{Name: "a parent found through itself", Layer: entries(Dir("a"), Symlink("a/l", ".."), f("a/l/x", "1"), f("a/l/a", "2"), f("a/l/y", "3")), Refused: `"a" is not a directory`},
		{Name: "fifo, file", Layer: entries(Node("p", tar.TypeFifo, 0, 0), f("p", "x")), Becomes: "p=x"},
		{Name: "case does not matter", Layer: entries(f("A", "1"), f("a", "2")), Becomes: "A=1 a=2"},

		// Devices and types.
		{Name: "device number out of range", Layer: entries(Node("d", tar.TypeBlock, 4096, 0)), Refused: "no device has the number 4096:0"},
		{Name: "negative device number", Layer: raw(RawEntry{Name: "d", Kind: '3', devMajor: "\xff\xff\xff\xff\xff\xff\xff\xff"}), Refused: "no device has the number -1:0"},
		{Name: "unknown type", Layer: raw(RawEntry{Name: "x", Kind: 'Z'}), Refused: `no entries of type 'Z'`},
		{Name: "multi-volume", Layer: raw(RawEntry{Name: "x", Kind: 'M', Gnu: true}), Refused: `no entries of type 'M'`},
		{Name: "global header", Layer: raw(RawEntry{Name: "g", Kind: 'g', Content: PaxRecord("path", "../canary")}, RawEntry{Name: "x", Kind: '0'}), Becomes: "x="},
		{Name: "owner -1", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("uid", "-1")}, RawEntry{Name: "x", Kind: '0'}), Refused: "no user or group has the number"},
		{Name: "group -1", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("gid", "-1")}, RawEntry{Name: "x", Kind: '0'}), Refused: "no user or group has the number"},
		{Name: "owner 2^32-1", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("uid", "4294967295")}, RawEntry{Name: "x", Kind: '0'}), Refused: "no user or group has the number"},
		{Name: "group 2^32-1", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("gid", "4294967295")}, RawEntry{Name: "x", Kind: '0'}), Refused: "no user or group has the number"},
		{Name: "negative mode", Layer: raw(RawEntry{Name: "x", Kind: '0', mode: "\xff\xff\xff\xff\xff\xff\xff\xff"}), Becomes: "x="},

		// Invalid names.
		{Name: "no name", Layer: raw(RawEntry{Kind: '0'}), Refused: "it has no name"},
		{Name: "NUL in a PAX name", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("path", "a\x00b")}, RawEntry{Name: "x", Kind: '0'}), Refused: "invalid tar header"},
		{Name: "NUL in a GNU name", Layer: raw(RawEntry{Name: "././@LongLink", Kind: 'L', Gnu: true, Content: "a\x00/../../b\x00"}, RawEntry{Name: "x", Kind: '0', Gnu: true}), Becomes: "a="},
		{Name: "256 bytes", Layer: entries(f(strings.Repeat("a", 256), "x")), Refused: "file name too long"},
		{Name: "256 bytes in the middle", Layer: entries(f("a/"+strings.Repeat("b", 256)+"/c", "x")), Refused: "file name too long"},
		{Name: "5000 bytes", Layer: entries(f(strings.Repeat("a/", 2500)+"x", "x")), Refused: "file name too long"},
		{Name: "2 MiB", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("path", strings.Repeat("a", 2<<20))}, RawEntry{Name: "x", Kind: '0'}), Refused: "header field too long"},
		{Name: "newline and escape in an error", Layer: entries(f("a\n\x1b[2J/..", "x")), Refused: `"a\n\x1b[2J/.."`},

		// Sizes.
		{Name: "negative size", Layer: raw(RawEntry{Name: "x", Kind: '0', Size: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}), Refused: "invalid tar header"},
		{Name: "negative PAX size", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("size", "-512")}, RawEntry{Name: "x", Kind: '0'}), Refused: "invalid tar header"},
		{Name: "overflowing PAX size", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("size", "9223372036854775808")}, RawEntry{Name: "x", Kind: '0'}), Refused: "invalid tar header"},
		{Name: "8 EiB", Layer: raw(RawEntry{Name: "x", Kind: '0', Size: "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"}), Refused: "more bytes than is allowed"},
		{Name: "more than there is", Layer: raw(RawEntry{Name: "x", Kind: '0', Size: "00000100000\x00"}), Refused: "it was cut off"},
		{Name: "directory with a size", Layer: raw(RawEntry{Name: "a/", Kind: '5', Size: "00000001000\x00"}), Becomes: "a/"},
		{Name: "size that is not octal", Layer: raw(RawEntry{Name: "x", Kind: '0', Size: "99999999999\x00"}), Refused: "invalid tar header"},
		{Name: "sparse 8 EiB", Layer: raw(RawEntry{Name: "x", Kind: 'S', Gnu: true, sparse: strings.Repeat("\x00", 97) + "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"}), Refused: "more bytes than is allowed"},
		{Name: "sparse beyond its size", Layer: raw(RawEntry{Name: "x", Kind: 'S', Gnu: true, sparse: "00000001000\x0000000001000\x00" + strings.Repeat("\x00", 73) + "00000000001\x00"}), Refused: "invalid tar header"},
		{Name: "sparse 1.0, a map of 2^62", Layer: raw(
			RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("GNU.sparse.major", "1") + PaxRecord("GNU.sparse.minor", "0") + PaxRecord("GNU.sparse.realsize", "10")},
			RawEntry{Name: "x", Kind: '0', Content: "4611686018427387904\n" + strings.Repeat("0\n", 246)}), Refused: "layer"},
		{Name: "sparse 1.0, its name", Layer: raw(
			RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("GNU.sparse.major", "1") + PaxRecord("GNU.sparse.minor", "0") + PaxRecord("GNU.sparse.name", "../canary") + PaxRecord("GNU.sparse.realsize", "0")},
			RawEntry{Name: "x", Kind: '0', Content: "0\n" + strings.Repeat("\x00", 510)}), Refused: dotdot},

		// Damage.
		{Name: "nothing", Layer: func(string) []byte { return nil }, Becomes: ""},
		{Name: "one zero block", Layer: func(string) []byte { return make([]byte, 512) }, Becomes: ""},
		{Name: "half a block", Layer: func(string) []byte { return make([]byte, 100) }, Refused: "cut off"},
		{Name: "no end", Layer: func(string) []byte { return RawEntry{Name: "x", Kind: '0'}.Bytes() }, Becomes: "x="},
		{Name: "cut off in a header", Layer: func(string) []byte { return RawEntry{Name: "x", Kind: '0'}.Bytes()[:300] }, Refused: "cut off"},
		{Name: "cut off in a file", Layer: func(string) []byte {
			return RawEntry{Name: "x", Kind: '0', Content: strings.Repeat("y", 1000)}.Bytes()[:1000]
		}, Refused: "cut off"},
		{Name: "bad checksum", Layer: func(string) []byte { b := Tar(t, f("x", "y")); b[0] = 'z'; return b }, Refused: "damaged, or not a tar"},
		{Name: "text", Layer: func(string) []byte { return []byte(strings.Repeat("not a tar at all\n", 100)) }, Refused: "damaged, or not a tar"},
		{Name: "garbage behind the end", Layer: func(string) []byte { return append(Tar(t, f("x", "y")), "garbage"...) }, Becomes: "x=y"},
		{Name: "another tar behind the end", Layer: func(string) []byte { return append(Tar(t, f("x", "y")), Tar(t, f("z", ""))...) }, Becomes: "x=y"},
		{Name: "a header of nothing at the end", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("path", "x")}), Becomes: ""},
		{Name: "broken PAX record", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: "99999 path=x\n"}, RawEntry{Name: "x", Kind: '0'}), Refused: "invalid tar header"},
		{Name: "xattr without a name", Layer: entries(f("x", "y").Xattr("", "z")), Refused: "set the extended attribute"},
		{Name: "xattr of an unknown kind", Layer: entries(f("x", "y").Xattr("nosuch.x", "z")), Becomes: "x=y"},
		{Name: "xattr of 70 kB", Layer: entries(f("x", "y").Xattr("user.x", strings.Repeat("z", 70000))), Refused: "set the extended attribute"},
		{Name: "time out of range", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("mtime", "9223372036854775807.9")}, RawEntry{Name: "x", Kind: '0'}), Becomes: "x="},
		{Name: "time before the beginning", Layer: raw(RawEntry{Name: "h", Kind: 'x', Content: PaxRecord("mtime", "-9223372036854775807.9")}, RawEntry{Name: "x", Kind: '0'}), Becomes: "x="},
	}
}

// An Endless is a tar without end, which repeats the same blocks.
type Endless struct {
	Blocks []byte
	at     int
}

func (e *Endless) Read(p []byte) (int, error) {
	n := copy(p, e.Blocks[e.at:])
	e.at = (e.at + n) % len(e.Blocks)
	return n, nil
}

// PeakHeap returns by how much Go's heap grew at its peak while do ran. On a
// busy machine the garbage collector may be late; a memory limit makes it run
// in time, if there is anything to collect.
func PeakHeap(do func()) uint64 {
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
