package testkit

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"
	"time"
)

// PeerLayers returns the layers of an image with everything that a layer can
// have. umoci unpacks them one over the other; we unpack each on its own.
func PeerLayers(t testing.TB) [][]byte {
	then := time.Date(2020, 2, 3, 4, 5, 6, 789_012_345, time.UTC)
	var deep, manyLow, manyUp []Entry
	for path, i := "deep", 0; i < 40; i++ {
		deep = append(deep, Dir(path+"/").WithMode(int64(0o700+i%0o100)).OwnedBy(i, i).At(then.Add(time.Duration(i))))
		path += fmt.Sprintf("/level %d", i)
	}
	manyLow = append(manyLow, Dir("many/").At(then))
	manyUp = append(manyUp, Dir("many/").At(then.Add(time.Second)))
	for i := range 300 {
		name := fmt.Sprintf("many/%d", i)
		manyLow = append(manyLow, File(name, strings.Repeat(name, i)).At(then))
		switch i % 3 {
		case 0:
			manyUp = append(manyUp, File(fmt.Sprintf("many/.wh.%d", i), ""))
		case 1:
			manyUp = append(manyUp, File(name, "changed").WithMode(0o600).OwnedBy(i, i).At(then))
		}
	}
	d := func(name string) Entry { return Dir(name).At(then) }
	f := func(name, content string) Entry { return File(name, content).At(then) }
	lowest := []Entry{
		d("./"), d("bin/"), d("etc/"), d("usr/"), d("usr/bin/"), d("var/"), d("var/cache/"), d("var/cache/a/"), d("dev/"), d("run/"), d("tmp/").WithMode(0o1777), d("home/"), d("home/u/").OwnedBy(1000, 1000),
		f("bin/su", "#!").WithMode(0o4755), f("bin/wall", "#!").WithMode(0o2755).OwnedBy(0, 5), f("bin/ping", "#!").WithMode(0o755).Xattr("security.capability", CapNetRaw),
		f("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), f("etc/shadow", "root:*").WithMode(0o640).OwnedBy(0, 42), f("etc/old", "1"), f("etc/both", "1"),
		f("usr/bin/perl", "perl").WithMode(0o755), HardLink("usr/bin/perl5.36", "usr/bin/perl"), HardLink("bin/perl", "usr/bin/perl"),
		Symlink("var/run", "/run").At(then), Symlink("var/lock", "../run/lock").At(then).OwnedBy(1, 1), HardLink("var/lock too", "var/lock"), f("var/run/utmp", "through a link"),
		f("var/cache/a/1", "1"), f("var/cache/a/2", "2"), f("var/cache/3", "3"),
		Node("dev/null", tar.TypeChar, 1, 3).WithMode(0o666).At(then), Node("dev/sda", tar.TypeBlock, 8, 0).WithMode(0o660).OwnedBy(0, 6).At(then), Node("run/fifo", tar.TypeFifo, 0, 0).WithMode(0o600).At(then),
		f("home/u/x", "x").OwnedBy(1000, 1000).Xattr("user.comment", "with = and \x00 and \xff").Xattr("user.second", "2"),
		f("home/u/"+strings.Repeat("long", 60), "long name"), f("home/u/ünïcödé \n\t", "odd name"), f("home/u/zeros", strings.Repeat("\x00", 1<<20)),
		f("twice", "1"), f("twice", "2").WithMode(0o600), f("a file, then a directory", ""), d("a file, then a directory/"), d("a directory, then a file"), f("a directory, then a file/x", ""), f("a directory, then a file", ""),
	}
	middle := []Entry{
		d("etc/").At(then.Add(time.Hour)), f("etc/.wh.old", ""), f("etc/new", "2"), f("etc/both", "2").WithMode(0o600),
		d("var/"), d("var/cache/"), d("var/cache/a/"), f("var/cache/a/.wh..wh..opq", ""), f("var/cache/a/4", "4"),
		d("home/"), d("home/u/").OwnedBy(1000, 1000).WithMode(0o700).At(then), f("home/u/.wh.x", ""),
		f(".wh.tmp", ""), d("usr/"), d("usr/bin/"), f("usr/bin/.wh.perl5.36", ""),
		Symlink("run", "var/volatile").At(then), d("var/volatile/"),
		d("bin/"), f("bin/perl", "not linked any more").WithMode(0o755),
	}
	highest := []Entry{
		d("tmp/").WithMode(0o1777).At(then), f("etc/.wh.new", ""), d("etc/").At(then.Add(2 * time.Hour)), f("etc/old", "3"),
		d("var/"), d("var/cache/"), f("var/cache/.wh.3", ""), f("var/cache/b/.wh.nothing", ""), d("var/cache/b").At(then),
		d("dev"), f("dev/null", "").WithMode(0o600), Node("dev/zero", tar.TypeChar, 1, 5).At(then),
	}
	var layers [][]byte
	for _, entries := range [][]Entry{append(append(lowest, deep...), manyLow...), middle, append(highest, manyUp...)} {
		layers = append(layers, Tar(t, entries...))
	}
	return layers
}

// RealLayer returns a layer of files on this machine, with everything that
// tar(1) writes. Its status is 1 if somebody has changed or removed a file
// meanwhile, which others do in var/log: it is a layer all the same.
func RealLayer(t testing.TB) []byte {
	return ToolOutput(t, "sh", "-c", `tar "$@" || [ $? = 1 ]`, "sh", "--xattrs", "--xattrs-include=*", "--format=posix", "--ignore-failed-read",
		"-c", "-C", "/", "etc", "usr/sbin", "usr/share/zoneinfo", "var/log", "dev/null")
}
