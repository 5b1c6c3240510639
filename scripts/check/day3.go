package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func (b *bench) at(names ...string) string {
	return filepath.Join(append([]string{b.dir()}, names...)...)
}

// put writes a file and the directories above it.
func put(path, content string) {
	do(os.MkdirAll(filepath.Dir(path), 0o755))
	write(path, content)
}

// copyUp: what ends up in the upper directory of an overlay.
func copyUp(b *bench) {
	for _, file := range []string{"read", "append", "chmod", "remove", "rename"} {
		put(b.at("lower", file), "from lower\n")
	}
	for _, dir := range []string{"upper", "work", "merged"} {
		do(os.Mkdir(b.at(dir), 0o755))
	}
	merged := func(name string) string { return b.at("merged", name) }
	do(unix.Mount("overlay", b.at("merged"), "overlay", 0,
		fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", b.at("lower"), b.at("upper"), b.at("work"))))
	must(os.ReadFile(merged("read")))
	file := must(os.OpenFile(merged("append"), os.O_APPEND|os.O_WRONLY, 0))
	must(file.WriteString("from the container\n"))
	do(file.Close())
	do(os.Chmod(merged("chmod"), 0o600))
	do(os.Remove(merged("remove")))
	do(os.Rename(merged("rename"), merged("renamed")))
	write(merged("fleeting"), "made and removed in the container\n")
	do(os.Remove(merged("fleeting")))

	in := func(name string) string {
		var st unix.Stat_t
		switch err := unix.Lstat(b.at("upper", name), &st); {
		case errors.Is(err, fs.ErrNotExist):
			return "nothing"
		case err != nil:
			do(err)
		case st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0:
			return "whiteout"
		}
		return "file"
	}
	lower := "old"
	if strings.Contains(text(b.at("lower", "append")), "container") {
		lower = "new"
	}
	try := "mount one as step 2 of the chapter does, do it, and ls -l upper; Documentation/filesystems/overlayfs.rst"
	b.answers([]fact{
		{"read", in("read"), try},
		{"append", in("append"), try},
		{"chmod", in("chmod"), try},
		{"remove", in("remove"), try},
		{"rename", in("rename"), try},
		{"renamed", in("renamed"), try},
		{"fleeting", in("fleeting"), try},
		{"lower/append", lower, try},
	})
}

// layerOrder: the uppermost layer comes first in lowerdir.
func layerOrder(b *bench) {
	for _, n := range []string{"1", "2", "3"} {
		put(b.at("layer"+n, "etc/motd"), "from layer "+n)
		put(b.at("layer"+n, "only-in-"+n), "")
	}
	for _, dir := range []string{"upper", "work", "merged"} {
		do(os.Mkdir(b.at(dir), 0o755))
	}
	pid := b.start("sleep")
	if pid == 0 || !b.overlay(pid) {
		return
	}
	merged := b.root(pid, b.at("merged"))
	b.equal("etc/motd in merged", text(merged+"/etc/motd"), "from layer 3", "overlayfs.rst, Multiple lower layers: which of the directories in lowerdir is the uppermost?")
	for _, n := range []string{"1", "2", "3"} {
		b.equal("a file that only layer"+n+" has", exists(merged+"/only-in-"+n), true, "lowerdir wants all three")
	}
	err := os.WriteFile(merged+"/new", nil, 0o644)
	b.want("a new file", err == nil && exists(b.at("upper/new")), fmt.Sprint(err), "made, and in upper", "/proc/PID/mountinfo: ro or rw? And what are upper and work for?")
	b.equal("layers that it changed", exists(b.at("layer1/new")) || exists(b.at("layer2/new")) || exists(b.at("layer3/new")), false, "the layers are shared by all containers of the image")
}

// overlay wants one on merged, in the process's mount namespace only.
func (b *bench) overlay(pid int) bool {
	kind := "no mount"
	if m := b.mountAt(pid, b.at("merged")); m != nil {
		kind = m.FSType
	}
	return b.equal("on merged, where sleep looks", kind, "overlay", "/proc/PID/mountinfo; your program's messages above") &&
		b.equal("on merged, here", b.mountAt(checker, b.at("merged")) != nil, false, "the mount is to be in a mount namespace of its own")
}

// escapeChroot: the program is started inside, and its root must become ours.
func escapeChroot(b *bench) {
	put(b.at("jail", "here"), "the jail")
	do(os.Mkdir(b.at("jail", "tmp"), 0o755))
	from := must(os.Open(b.Program))
	to := must(os.OpenFile(b.at("jail", "main"), os.O_CREATE|os.O_WRONLY, 0o755))
	must(io.Copy(to, from))
	do(errors.Join(from.Close(), to.Close()))
	b.output = must(os.Create(filepath.Join(b.Top, "output")))
	cmd := exec.Command("/main")
	cmd.Err = nil // it is there, seen from inside
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = b.output, b.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: b.at("jail")}
	do(cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	link := func() string { root, _ := os.Readlink(b.proc(cmd.Process.Pid, "root")); return root }
	first := link()
	b.equal("the root of your program, in the beginning", first == b.at("jail") || first == "/", true, "/proc/PID/root")
	until(10*time.Second, func() bool {
		select {
		case <-ended:
			return true
		default:
			return link() == "/"
		}
	})
	b.equal("the root of your program, in the end", link(), "/",
		"readlink /proc/PID/root; chroot(2): what does it leave as it was?")
}

// pivot: pivot_root, with nothing left of the old root.
func pivot(b *bench) {
	root := b.at("root")
	bindHost(root)
	if pid, ok := b.pivoted(root); ok {
		b.equal("its root can be written to", os.WriteFile(b.root(pid, "/new"), nil, 0o644), error(nil), "that is for exercise 6")
	}
}

func (b *bench) pivoted(root string, extra ...string) (int, bool) {
	before := len(b.mounts(checker))
	pid := b.start("sleep", append(extra, "ROOT="+root)...)
	if pid == 0 {
		return 0, false
	}
	ok := b.want("sleep has a mount namespace of its own", !b.shares(pid, "mnt"), b.ns(pid, "mnt"), "another than ours", "unshare --mount") &&
		b.equal("the file here in its root", exists(b.root(pid, "/here")), true,
			"pivot_root(2), ERRORS, EINVAL. And why did your script go on?")
	if !ok {
		return pid, false
	}
	var old []string
	for _, m := range b.mounts(pid) {
		if m.Mountpoint == "/old" || strings.HasPrefix(m.Mountpoint, "/old/") {
			old = append(old, m.Mountpoint)
		}
	}
	ok = b.want("mounts of the old root that it sees", len(old) == 0, append(old, "none")[0], "none",
		"/proc/PID/mountinfo: pivot_root(2) has moved the old root, and not let go of it")
	root1 := b.mountAt(pid, "/")
	ok = b.want("its root is a mount", root1 != nil, root1 != nil, "true; chroot alone changes where paths start and not the mounts", "/proc/PID/mountinfo: a line with / in field 5") && ok
	ok = b.equal("mounts here, more than before", len(b.mounts(checker))-before, 0, "unshare(1), --propagation") && ok
	return pid, ok
}

// whiteout: what tar leaves of a deletion, and what overlayfs wants.
func whiteout(b *bench) {
	archive(b.at("layer1.tar"), map[string]string{"etc/motd": "from layer 1\n", "etc/doomed": "1\n", "etc/kept": "1\n", "box/old": "1\n", "box/both": "1\n"})
	archive(b.at("layer2.tar"), map[string]string{"etc/motd": "from layer 2\n", "etc/.wh.doomed": "", "box/.wh..wh..opq": "", "box/both": "2\n"})
	pid := b.start("sleep")
	if pid == 0 || !b.overlay(pid) {
		return
	}
	merged := b.root(pid, b.at("merged"))
	list := func(dir string) string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err.Error()
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	b.equal("etc in merged", list(merged+"/etc"), "kept motd", "OCI image specification, layer.md, Whiteouts; overlayfs.rst, whiteouts and opaque directories")
	b.equal("etc/motd", text(merged+"/etc/motd"), "from layer 2", "layer2 is above layer1")
	b.equal("box in merged", list(merged+"/box"), "both", "layer.md, Opaque Whiteout: of the lower layers' box nothing is to be seen")
	b.equal("box/both", text(merged+"/box/both"), "2", "it is in layer 2 as well, and that one stays")
	b.equal("etc in layer1", list(b.at("layer1/etc")), "doomed kept motd", "a layer is never changed: other images use it, too")
}

func archive(path string, files map[string]string) {
	file := must(os.Create(path))
	w := tar.NewWriter(file)
	var names []string
	dirs := map[string]bool{}
	for name := range files {
		names = append(names, name)
		dirs[filepath.Dir(name)+"/"] = true
	}
	for dir := range dirs {
		names = append(names, dir)
	}
	slices.Sort(names)
	for _, name := range names {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if strings.HasSuffix(name, "/") {
			header.Typeflag, header.Mode = tar.TypeDir, 0o755
		}
		do(w.WriteHeader(header))
		must(io.WriteString(w, files[name]))
	}
	do(errors.Join(w.Close(), file.Close()))
}

// twoNames: what commit makes of hard links, and of whiteouts that share an inode.
func twoNames(b *bench) {
	b.layout("oci")
	upper := func(name string) string { return b.at("box/upper", name) }
	put(upper("first"), "content\n")
	put(upper("dir/only"), "content\n") // the same content, another file
	do(os.Link(upper("first"), upper("dir/second")))
	do(os.Link(upper("first"), upper("third")))
	do(unix.Mknod(upper("gone"), unix.S_IFCHR, 0))
	do(os.Link(upper("gone"), upper("gone2")))
	b.launch()
	if !b.equal("your program ends", until(30*time.Second, b.over), true, "what is it waiting for?") ||
		!b.equal("with the exit status", b.script.ProcessState.ExitCode(), 0, "what your program says, above") {
		return
	}
	var index struct{ Manifests []descriptor }
	var manifest struct{ Layers []descriptor }
	do(json.Unmarshal([]byte(text(b.at("oci/index.json"))), &index))
	do(json.Unmarshal([]byte(text(b.at("oci", index.Manifests[len(index.Manifests)-1].path()))), &manifest))
	kinds, linked, size := map[string]string{}, map[string]bool{}, 0
	r := tar.NewReader(must(os.Open(b.at("oci", manifest.Layers[len(manifest.Layers)-1].path()))))
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		do(err)
		name := filepath.Clean(h.Name)
		kinds[name] = string(h.Typeflag)
		size += len(must(io.ReadAll(r)))
		if h.Typeflag == tar.TypeLink {
			to := filepath.Clean(h.Linkname)
			b.equal(name+" is a link to a file before it", kinds[to] == string(tar.TypeReg), true, "tar -tvf of the newest blob; Linkname is a name in the archive")
			linked[name] = true
		}
	}
	try := "tar -tvf of the newest blob; tar(5), or archive/tar: TypeLink"
	for _, name := range []string{"first", "dir/second", "third", "dir/only", ".wh.gone", ".wh.gone2"} {
		b.equal(name+" is in the layer", kinds[name] != "", true, try)
	}
	b.equal("hard links in it", len(linked), 2, try)
	b.equal("among the names of the one file", !linked["dir/only"] && !linked[".wh.gone"] && !linked[".wh.gone2"], true,
		"two files may have the same content, and are not one; inode(7)")
	b.equal("bytes of content in it", size, 2*len("content\n"), "a link has no content of its own: its Size is 0")
}

// A descriptor is how one file of an image refers to another. OCI image specification, descriptor.md
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

func (d descriptor) path() string {
	return filepath.Join("blobs", strings.Replace(d.Digest, ":", "/", 1))
}

// layout makes an image of one empty layer.
func (b *bench) layout(name string) {
	add := func(kind string, content []byte) descriptor {
		d := descriptor{"application/vnd.oci.image." + kind, fmt.Sprintf("sha256:%x", sha256.Sum256(content)), len(content)}
		put(b.at(name, d.path()), string(content))
		return d
	}
	layer := add("layer.v1.tar", make([]byte, 1024)) // two empty blocks: the end of an archive
	config := add("config.v1+json", must(json.Marshal(map[string]any{"architecture": runtime.GOARCH, "os": "linux",
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer.Digest}}})))
	manifest := add("manifest.v1+json", must(json.Marshal(map[string]any{"schemaVersion": 2, "config": config, "layers": []descriptor{layer}})))
	put(b.at(name, "index.json"), string(must(json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifest}}))))
	put(b.at(name, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
}

// volume: a root that is read-only, and one directory that is not.
func volume(b *bench) {
	root := b.at("root")
	bindHost(root)
	put(b.at("volume", "greeting"), "from the host")
	pid, ok := b.pivoted(root, "VOLUME="+b.at("volume"))
	if !ok {
		return
	}
	err := os.WriteFile(b.root(pid, "/new"), nil, 0o644)
	b.want("a write to its root", errors.Is(err, unix.EROFS), fmt.Sprint(err), unix.EROFS, "/proc/PID/mountinfo, field 6 of the line for /")
	b.equal("/data/greeting in it", text(b.root(pid, "/data/greeting")), "from the host", "/proc/PID/mountinfo: is there a line for /data?")
	err = os.WriteFile(b.root(pid, "/data/reply"), nil, 0o644)
	b.want("a write to /data", err == nil && exists(b.at("volume/reply")), fmt.Sprint(err), "<nil>, and the file is in the volume here", "is /data read-only, too?")
	err = os.WriteFile(filepath.Join(root, "outside"), nil, 0o644)
	b.want("a write to the same directory, here", err == nil, fmt.Sprint(err), "<nil>", "remount without bind changes the file system and not just this mount of it: mount(2), MS_REMOUNT | MS_BIND")
}
