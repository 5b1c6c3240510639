// Step 9. New: from index.json to the layers by digests, and every digest is checked. OCI image-layout.md
// Run: sh day3-images/steps/04-layout.sh /tmp/oci; go run ./day3-images/steps/09-image /tmp/oci /tmp/layers
// Still wrong: it unpacks as step 8 does; and it makes no image, so what a box has changed cannot travel.
package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

type blob struct{ Digest, MediaType string } // sha256:12ab is the file blobs/sha256/12ab, and the hash of its content

func main() {
	if len(os.Args) != 3 {
		check(fmt.Errorf("usage: %s LAYOUT DIR", os.Args[0]))
	}
	layout, dir := os.Args[1], os.Args[2]
	var index struct{ Manifests []blob } // in the file it is manifests: encoding/json does not mind
	var manifest struct {
		Config blob
		Layers []blob
	}
	var config struct{ RootFS struct{ Diff_IDs []string } }
	text, err := os.ReadFile(filepath.Join(layout, "index.json")) // it has no digest: we have to trust it
	check(err)
	check(json.Unmarshal(text, &index))
	if len(index.Manifests) == 0 {
		check(fmt.Errorf("no image in %s", layout))
	}
	check(json.NewDecoder(index.Manifests[len(index.Manifests)-1].open(layout)).Decode(&manifest)) // the newest
	check(json.NewDecoder(manifest.Config.open(layout)).Decode(&config))
	if len(manifest.Layers) == 0 || len(manifest.Layers) != len(config.RootFS.Diff_IDs) {
		check(fmt.Errorf("the newest image in %s has no layers, or its configuration has others", layout))
	}
	dirs := make([]string, len(manifest.Layers))
	for i, layer := range manifest.Layers {
		verify(layer.open(layout), config.RootFS.Diff_IDs[i]) // a diff ID is the digest of the tar in the file
		to := filepath.Join(dir, fmt.Sprint(i))
		unpack(layer.open(layout), to)
		dirs[len(dirs)-1-i] = to // here the lowest layer comes first, for overlayfs the uppermost
	}
	fmt.Println(strings.Join(dirs, ":"))
}

// open returns what is in the blob, decompressed, after reading all of it to see whether the digest is right.
func (b blob) open(layout string) io.Reader {
	file, err := os.Open(filepath.Join(layout, "blobs", strings.Replace(b.Digest, ":", "/", 1)))
	check(err)
	verify(file, b.Digest)
	_, err = file.Seek(0, io.SeekStart)
	check(err)
	if !strings.HasSuffix(b.MediaType, "gzip") {
		return file
	}
	unzipped, err := gzip.NewReader(file)
	check(err)
	return unzipped
}

func verify(content io.Reader, digest string) {
	hash := sha256.New()
	_, err := io.Copy(hash, content)
	check(err)
	if found := fmt.Sprintf("sha256:%x", hash.Sum(nil)); found != digest {
		check(fmt.Errorf("damaged: what should be %s is %s", digest, found))
	}
}

// unpack makes what layer has, in dir.
func unpack(layer io.Reader, dir string) {
	archive := tar.NewReader(layer)
	for h, err := archive.Next(); err != io.EOF; h, err = archive.Next() {
		check(err)
		path := filepath.Join(dir, h.Name)
		parent, name := filepath.Dir(path), filepath.Base(path)
		check(os.MkdirAll(parent, 0o755)) // not every tar names the directories above a file
		deleted, isWhiteout := strings.CutPrefix(name, ".wh.")
		switch {
		case name == ".wh..wh..opq": // nothing below shows through in parent: opaque, in overlayfs.rst
			check(syscall.Setxattr(parent, "trusted.overlay.opaque", []byte("y"), 0))
		case isWhiteout: // overlayfs shows nothing where a layer has the device 0, 0
			check(syscall.Mknod(filepath.Join(parent, deleted), syscall.S_IFCHR, 0))
		case h.Typeflag == tar.TypeLink: // one more name for a file that came before
			check(os.Link(filepath.Join(dir, h.Linkname), path))
		case h.Typeflag == tar.TypeDir:
			check(os.MkdirAll(path, 0o755))
		case h.Typeflag == tar.TypeSymlink:
			check(os.Symlink(h.Linkname, path))
		case h.Typeflag == tar.TypeReg:
			file, err := os.Create(path)
			check(err)
			_, err = io.Copy(file, archive)
			check(err)
			check(file.Close())
		default:
			check(fmt.Errorf("%s: no file, directory or link, but a %q", h.Name, h.Typeflag))
		}
		if !isWhiteout && h.Typeflag != tar.TypeLink {
			check(os.Lchown(path, h.Uid, h.Gid))
		}
		if !isWhiteout && (h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeDir) {
			check(syscall.Chmod(path, uint32(h.Mode))) // after chown(2), which takes away set-user-ID
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
