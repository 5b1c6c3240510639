// Step 11, from step 8. New: whatever the tar says, all of it stays in DIR: openat2(2), RESOLVE_IN_ROOT.
// Run: go run ./day3-images/steps/11-hostile DIR <LAYER.tar; step 12 has two LAYERs for it
// Still wrong: times, extended attributes and devices are missing, and a small tar can fill the whole disk.
package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 2 {
		check(fmt.Errorf("usage: %s DIR <LAYER.tar", os.Args[0]))
	}
	unpack(os.Stdin, os.Args[1])
}

// unpack makes what layer has, in dir.
func unpack(layer io.Reader, dir string) {
	check(os.MkdirAll(dir, 0o755))
	top, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	check(err)
	archive := tar.NewReader(layer)
	for h, err := archive.Next(); err != io.EOF; h, err = archive.Next() {
		check(err)
		// What leads out is the way to a file: a link in it, or "..". So the kernel goes that way for
		// us, and stays in top. In the directory where it ends we make a name without a slash.
		above, name := split(h.Name)
		if name == "" {
			continue // dir itself
		}
		parent := open(top, above)
		deleted, isWhiteout := strings.CutPrefix(name, ".wh.")
		// What has this name already may be a link. To write to it is to write where it leads.
		err = unix.Unlinkat(parent, name, 0)
		if err != unix.ENOENT && (err != unix.EISDIR || h.Typeflag != tar.TypeDir) {
			check(err)
		}
		switch {
		case name == ".wh..wh..opq": // nothing below shows through in parent: opaque, in overlayfs.rst
			fd := fmt.Sprintf("/proc/self/fd/%d", parent)
			check(unix.Setxattr(fd, "trusted.overlay.opaque", []byte("y"), 0))
		case isWhiteout: // overlayfs shows nothing where a layer has the device 0, 0
			check(unix.Mknodat(parent, deleted, unix.S_IFCHR, 0))
		case h.Typeflag == tar.TypeLink: // one more name for a file that came before
			above, old := split(h.Linkname)
			from := open(top, above)
			check(unix.Linkat(from, old, parent, name, 0))
			check(unix.Close(from))
		case h.Typeflag == tar.TypeDir:
			if err := unix.Mkdirat(parent, name, 0o755); err != unix.EEXIST {
				check(err)
			}
		case h.Typeflag == tar.TypeSymlink:
			check(unix.Symlinkat(h.Linkname, parent, name))
		case h.Typeflag == tar.TypeReg:
			fd, err := unix.Openat(parent, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
			check(err)
			file := os.NewFile(uintptr(fd), name)
			_, err = io.Copy(file, archive)
			check(err)
			check(file.Close())
		default:
			check(fmt.Errorf("%s: no file, directory or link, but a %q", h.Name, h.Typeflag))
		}
		if !isWhiteout && h.Typeflag != tar.TypeLink {
			check(unix.Fchownat(parent, name, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW))
		}
		if !isWhiteout && (h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeDir) {
			fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
			check(err)
			check(unix.Fchmod(fd, uint32(h.Mode))) // after chown(2), which takes away set-user-ID
			check(unix.Close(fd))
		}
		check(unix.Close(parent))
	}
}

// split makes of a/../b/c the directory /b/ and the name c.
func split(name string) (above, last string) { return path.Split(path.Clean("/" + name)) }

// open opens a directory in top, and makes it if there is none. For the kernel top is / meanwhile:
// an absolute link starts there, and .. ends there.
func open(top int, name string) int {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY, Resolve: unix.RESOLVE_IN_ROOT}
	for {
		fd, err := unix.Openat2(top, name, &how)
		switch {
		case err == nil:
			return fd
		case err == unix.ENOENT && name != "/": // not every tar names the directories above a file
			above, last := split(name)
			parent := open(top, above)
			check(unix.Mkdirat(parent, last, 0o755))
			check(unix.Close(parent))
		case err != unix.EAGAIN: // something on this machine was renamed or mounted: .. is uncertain, try again
			check(fmt.Errorf("%s: %w", name, err))
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
