package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"example.com/go-docker/day3-images/inroot"
	"example.com/go-docker/day3-images/metadata"
	"golang.org/x/sys/unix"
)

// create calls create, which makes base and fails if it exists. An existing one
// is then removed, never followed or written to: it may be a link that leads
// anywhere, and a file may have other names.
func (u *Unpacker) create(base string, create func() error) error {
	err := create()
	if errors.Is(err, unix.EEXIST) {
		u.parent.name = "" // its path may have led through what is being removed
		if err := inroot.RemoveAll(inroot.FdPath(u.parent.fd) + "/" + base); err != nil {
			return err
		}
		err = create()
	}
	return Wrap("create", err)
}

func (u *Unpacker) stat(base string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(u.parent.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return &st, Wrap("stat", err)
}

// file makes a regular file.
func (u *Unpacker) file(hdr *tar.Header, base string, content io.Reader) error {
	if err := u.checkSize(hdr); err != nil {
		return err
	}
	var fd int
	err := u.create(base, func() (err error) {
		fd, err = unix.Openat(u.parent.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), base)
	return errors.Join(u.write(file, content, hdr.Size), file.Close())
}

// checkSize refuses a file before any of it is written. A sparse file can be of
// any size with few bytes in the tar, so it counts as if it had no holes.
func (u *Unpacker) checkSize(hdr *tar.Header) error {
	sparse := hdr.Typeflag == tar.TypeGNUSparse
	for record := range hdr.PAXRecords {
		sparse = sparse || strings.HasPrefix(record, "GNU.sparse.")
	}
	switch {
	case sparse:
		return u.quota.takeBytes(hdr.Size)
	case hdr.Size > atomic.LoadInt64(&u.quota.Bytes):
		return errTooManyBytes
	}
	return nil
}

var zeros [128 << 10]byte

// write copies a file's content. A full buffer of zeros becomes a hole.
func (u *Unpacker) write(file *os.File, content io.Reader, size int64) error {
	hole := false
	for at := int64(0); at < size; {
		chunk := u.buffer[:min(size-at, int64(len(u.buffer)))]
		if _, err := io.ReadFull(content, chunk); err != nil {
			return err
		}
		if len(chunk) == len(zeros) && bytes.Equal(chunk, zeros[:]) {
			hole = true
		} else if _, err := file.WriteAt(chunk, at); err != nil {
			return err
		}
		at += int64(len(chunk))
	}
	if hole { // it may be at the end
		return file.Truncate(size)
	}
	return nil
}

// Directory makes a directory that has its own entry in the tar.
func (u *Unpacker) Directory(hdr *tar.Header, base string) error {
	made, err := u.makeDir(base, false)
	if err == nil && made == 0 {
		err = u.remark(base, 0)
	}
	if err != nil {
		return err
	}
	return u.set.Set(u.parent.fd, base, hdr, made == 0)
}

// makeDir makes a directory and returns Yes, its mark if it is implied. It keeps
// an existing one with its contents and returns 0. If something else has the
// name, a new directory replaces it, and the mark is New. That one is opaque,
// because what it replaces also hid the directory of that name in the layers
// below.
func (u *Unpacker) makeDir(base string, onlyForWhiteout bool) (made byte, err error) {
	mkdir := func() error { return unix.Mkdirat(u.parent.fd, base, 0o755) }
	err = mkdir()
	if !errors.Is(err, unix.EEXIST) {
		return Yes, Wrap("make a directory", err)
	}
	st, err := u.stat(base)
	switch {
	case err != nil:
		return 0, err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return 0, nil
	case onlyForWhiteout && !IsWhiteout(st):
		return 0, fmt.Errorf("%.200q is not a directory in this layer", base)
	}
	if err := u.create(base, mkdir); err != nil {
		return 0, err
	}
	return New, metadata.Mark(u.parent.fd, base, OpaqueXattr, Yes)
}

// Top sets the metadata of the layer's top directory.
func (u *Unpacker) Top(hdr *tar.Header) error {
	if hdr.Typeflag != tar.TypeDir {
		return errors.New("the top of the layer must be a directory")
	}
	if err := u.leave(); err != nil { // the top may be the current parent
		return err
	}
	if err := metadata.Mark(u.root, ".", TopMark, Yes); err != nil && !errors.Is(err, unix.ENOTSUP) { // most layers need no attributes
		return err
	}
	return u.set.Set(u.root, ".", hdr, true)
}

// node makes a device node, exactly as the layer has it. The container cannot
// use it because its root is mounted nodev, and the host's users cannot because
// they cannot enter the store.
func (u *Unpacker) node(hdr *tar.Header, base string, kind uint32) error {
	major, minor := hdr.Devmajor, hdr.Devminor
	if major < 0 || major >= 1<<12 || minor < 0 || minor >= 1<<20 { // as in the kernel's MKDEV
		return fmt.Errorf("no device has the number %d:%d", major, minor)
	}
	device := int(unix.Mkdev(uint32(major), uint32(minor)))
	if device == 0 && kind == unix.S_IFCHR {
		return errors.New("the character device 0:0 is overlayfs's whiteout: an image cannot have it")
	}
	return u.create(base, func() error { return unix.Mknodat(u.parent.fd, base, kind|0o600, device) })
}

// HardLink gives another name to a file of this layer. A file of a layer below
// is out of reach, and on overlayfs it would not be the same file anyway. But
// the target's name may lead through a symbolic link in a layer below to a file
// of this one; a marked symbolic link then stands in for the hard link until
// that layer is known.
func (u *Unpacker) HardLink(target, base string) error {
	target, err := entryName(target)
	if err != nil {
		return err
	}
	var st, old unix.Stat_t
	from, err := inroot.Open(u.root, path.Dir(target), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	loose := u.Inherit == nil && (u.implied > 0 || errors.Is(err, unix.ENOENT))
	if err == nil {
		defer unix.Close(from)
		err = unix.Fstatat(from, path.Base(target), &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	switch {
	case err != nil && loose:
		u.links = true
		err = u.create(base, func() error { return unix.Symlinkat("/"+target, u.parent.fd, base) })
		if err == nil {
			err = metadata.Mark(u.parent.fd, base, LinkMark, Yes)
		}
		return err
	case err != nil:
		return fmt.Errorf("not in this layer, or only after the link: %w", err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR || IsWhiteout(&st):
		return errors.New("not a file")
	}
	err = unix.Fstatat(u.parent.fd, base, &old, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && old.Dev == st.Dev && old.Ino == st.Ino {
		return nil // removing the old file would remove the target
	}
	return u.Link(from, path.Base(target), base)
}

// Link also gives the file called name in the directory from the name base,
// replacing whatever has that name now.
func (u *Unpacker) Link(from int, name, base string) error {
	return u.create(base, func() error { return unix.Linkat(from, name, u.parent.fd, base, 0) })
}
