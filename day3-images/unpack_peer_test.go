package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// peerLayers are the layers of an image with everything that a layer can have.
// umoci unpacks them one onto the other, we each on its own.
func peerLayers(t testing.TB) [][]byte {
	then := time.Date(2020, 2, 3, 4, 5, 6, 789_012_345, time.UTC)
	var deep, manyLow, manyUp []tarEntry
	for path, i := "deep", 0; i < 40; i++ {
		deep = append(deep, tarDir(path+"/").mode(int64(0o700+i%0o100)).owned(i, i).at(then.Add(time.Duration(i))))
		path += fmt.Sprintf("/level %d", i)
	}
	manyLow = append(manyLow, tarDir("many/").at(then))
	manyUp = append(manyUp, tarDir("many/").at(then.Add(time.Second)))
	for i := range 300 {
		name := fmt.Sprintf("many/%d", i)
		manyLow = append(manyLow, tarFile(name, strings.Repeat(name, i)).at(then))
		switch i % 3 {
		case 0:
			manyUp = append(manyUp, tarFile(fmt.Sprintf("many/.wh.%d", i), ""))
		case 1:
			manyUp = append(manyUp, tarFile(name, "changed").mode(0o600).owned(i, i).at(then))
		}
	}
	d := func(name string) tarEntry { return tarDir(name).at(then) }
	f := func(name, content string) tarEntry { return tarFile(name, content).at(then) }
	lowest := []tarEntry{
		d("./"), d("bin/"), d("etc/"), d("usr/"), d("usr/bin/"), d("var/"), d("var/cache/"), d("var/cache/a/"), d("dev/"), d("run/"), d("tmp/").mode(0o1777), d("home/"), d("home/u/").owned(1000, 1000),
		f("bin/su", "#!").mode(0o4755), f("bin/wall", "#!").mode(0o2755).owned(0, 5), f("bin/ping", "#!").mode(0o755).xattr("security.capability", capNetRaw),
		f("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), f("etc/shadow", "root:*").mode(0o640).owned(0, 42), f("etc/old", "1"), f("etc/both", "1"),
		f("usr/bin/perl", "perl").mode(0o755), tarHardLink("usr/bin/perl5.36", "usr/bin/perl"), tarHardLink("bin/perl", "usr/bin/perl"),
		tarSymlink("var/run", "/run").at(then), tarSymlink("var/lock", "../run/lock").at(then).owned(1, 1), tarHardLink("var/lock too", "var/lock"), f("var/run/utmp", "through a link"),
		f("var/cache/a/1", "1"), f("var/cache/a/2", "2"), f("var/cache/3", "3"),
		tarNode("dev/null", tar.TypeChar, 1, 3).mode(0o666).at(then), tarNode("dev/sda", tar.TypeBlock, 8, 0).mode(0o660).owned(0, 6).at(then), tarNode("run/fifo", tar.TypeFifo, 0, 0).mode(0o600).at(then),
		f("home/u/x", "x").owned(1000, 1000).xattr("user.comment", "with = and \x00 and \xff").xattr("user.second", "2"),
		f("home/u/"+strings.Repeat("long", 60), "long name"), f("home/u/ünïcödé \n\t", "odd name"), f("home/u/zeros", strings.Repeat("\x00", 1<<20)),
		f("twice", "1"), f("twice", "2").mode(0o600), f("a file, then a directory", ""), d("a file, then a directory/"), d("a directory, then a file"), f("a directory, then a file/x", ""), f("a directory, then a file", ""),
	}
	middle := []tarEntry{
		d("etc/").at(then.Add(time.Hour)), f("etc/.wh.old", ""), f("etc/new", "2"), f("etc/both", "2").mode(0o600),
		d("var/"), d("var/cache/"), d("var/cache/a/"), f("var/cache/a/.wh..wh..opq", ""), f("var/cache/a/4", "4"),
		d("home/"), d("home/u/").owned(1000, 1000).mode(0o700).at(then), f("home/u/.wh.x", ""),
		f(".wh.tmp", ""), d("usr/"), d("usr/bin/"), f("usr/bin/.wh.perl5.36", ""),
		tarSymlink("run", "var/volatile").at(then), d("var/volatile/"),
		d("bin/"), f("bin/perl", "not linked any more").mode(0o755),
	}
	highest := []tarEntry{
		d("tmp/").mode(0o1777).at(then), f("etc/.wh.new", ""), d("etc/").at(then.Add(2 * time.Hour)), f("etc/old", "3"),
		d("var/"), d("var/cache/"), f("var/cache/.wh.3", ""), f("var/cache/b/.wh.nothing", ""), d("var/cache/b").at(then),
		d("dev"), f("dev/null", "").mode(0o600), tarNode("dev/zero", tar.TypeChar, 1, 5).at(then),
	}
	var layers [][]byte
	for _, entries := range [][]tarEntry{append(append(lowest, deep...), manyLow...), middle, append(highest, manyUp...)} {
		layers = append(layers, makeTar(t, entries...))
	}
	return layers
}

// Unpacked by us and stacked by overlayfs, an image is what umoci makes of it.
func TestUnpackAsUmoci(t *testing.T) {
	needRoot(t)
	_, err := exec.LookPath("umoci")
	need(t, err == nil, "umoci")
	for name, layers := range map[string][][]byte{
		"made up": peerLayers(t),
		"real":    {realLayer(t)},
	} {
		t.Run(name, func(t *testing.T) {
			layout, theirs, ours := filepath.Join(t.TempDir(), "layout"), filepath.Join(t.TempDir(), "rootfs"), t.TempDir()
			umoci := func(args ...string) { toolOutput(t, "umoci", args...) }
			umoci("init", "--layout", layout)
			umoci("new", "--image", layout+":test")
			for i, layer := range layers {
				path := filepath.Join(ours, fmt.Sprintf("%d.tar", i))
				if err := os.WriteFile(path, layer, 0o600); err != nil {
					t.Fatal(err)
				}
				umoci("raw", "add-layer", "--image", layout+":test", path)
			}
			umoci("raw", "unpack", "--image", layout+":test", theirs)

			var dirs []string
			for i, blob := range layoutLayers(t, layout) {
				dir := filepath.Join(ours, fmt.Sprint(i))
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				unpackBlob(t, blob, dir)
				dirs = append(dirs, dir)
			}
			want := facts(t, theirs)
			if len(want) < 200 && name != "real" || len(want) < 10 { // a guest has few files
				t.Fatalf("umoci unpacked %d files", len(want))
			}
			got := facts(t, mountOverlay(t, "", dirs...))
			if name == "real" {
				withoutTimes(got, notInRealLayer...)
				withoutTimes(want, notInRealLayer...)
			}
			sameFacts(t, got, want)
		})
	}
}

// realLayer is a part of this machine, with all that tar(1) writes of it.
func realLayer(t testing.TB) []byte {
	return toolOutput(t, "tar", "--xattrs", "--xattrs-include=*", "--format=posix", "--ignore-failed-read", "--warning=no-file-ignored", "--warning=no-file-changed",
		"-c", "-C", "/", "etc", "usr/sbin", "usr/share/zoneinfo", "var/log", "dev/null")
}

// notInRealLayer are directories that have no entry: the others give them the
// time of their making, we give them none.
var notInRealLayer = []string{"dev", "usr", "usr/share", "var"}

func withoutTimes(all map[string]fact, names ...string) {
	for _, name := range names {
		if f, there := all[name]; there {
			f.mtime = 0
			all[name] = f
		}
	}
}

// layoutLayers returns the layer blobs of the one image in an OCI layout.
func layoutLayers(t testing.TB, layout string) (blobs []string) {
	t.Helper()
	type descriptor struct{ Digest string }
	blob := func(d descriptor) string {
		return filepath.Join(layout, "blobs", strings.Replace(d.Digest, ":", "/", 1))
	}
	read := func(path string, into any) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var index struct{ Manifests []descriptor }
	read(filepath.Join(layout, "index.json"), &index)
	var manifest struct{ Layers []descriptor }
	read(blob(index.Manifests[0]), &manifest)
	for _, layer := range manifest.Layers {
		blobs = append(blobs, blob(layer))
	}
	return blobs
}

// unpackBlob unpacks a layer as it is in an image, compressed.
func unpackBlob(t testing.TB, blob, dir string) {
	t.Helper()
	file, err := os.Open(blob)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	layer, err := decompress(file)
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	q := plenty
	if err := unpackLayer(layer, dir, &q); err != nil {
		t.Fatal(err)
	}
}

// tar(1) unpacks one layer the same, if it has no whiteouts.
func TestUnpackAsTar(t *testing.T) {
	needRoot(t)
	layer, theirs := realLayer(t), t.TempDir()
	cmd := exec.Command("tar", "--xattrs", "--xattrs-include=*", "-xp", "-C", theirs)
	cmd.Stdin = bytes.NewReader(layer)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	ours := facts(t, unpackTo(t, t.TempDir(), layer))
	want := facts(t, theirs)
	withoutTimes(want, notInRealLayer...)
	sameFacts(t, ours, want)
}
