// Step 8, from nothing. New: a layer is a tar, unpacked for overlayfs: .wh.NAME becomes a whiteout of NAME.
// Run: touch /tmp/.wh.x; tar -cC /tmp .wh.x | go run ./day3-images/steps/08-whiteouts /tmp/l; ls -l /tmp/l
// Still wrong: it believes the tar. If var/run is a link to /run, then var/run/x goes to the machine's /run.
package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) != 2 {
		check(fmt.Errorf("usage: %s DIR <LAYER.tar", os.Args[0]))
	}
	unpack(os.Stdin, os.Args[1])
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
