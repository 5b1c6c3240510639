package mountfd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"example.com/go-docker/day5-networks/inroot"
	"golang.org/x/sys/unix"
)

// A Tree is the container's root while it is still a directory on the host.
type Tree struct{ *os.File }

// OpenTree opens the directory dir on the host.
func OpenTree(dir string) (Tree, error) {
	file, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	return Tree{file}, err
}

// Open opens path as the container will see it: links are followed, but the
// root is the container's. The file it returns is O_PATH, for system calls that
// take a place, and cannot be read. resolve is one of unix.RESOLVE_* or 0.
// openat2(2)
func (t Tree) Open(path string, resolve uint64) (*os.File, error) {
	fd, err := inroot.Open(int(t.Fd()), path, unix.O_PATH, resolve)
	if err != nil {
		return nil, &fs.PathError{Op: "open in the container", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Ensure opens target in the container and makes it if it is missing: the
// directories down to it and, unless isDir, an empty file.
func (t Tree) Ensure(target string, isDir bool) (*os.File, error) {
	file, err := t.Open(target, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	made, err := inroot.Make(int(t.Fd()), target, func(parent int, name string, last bool) error {
		if last && !isDir {
			err = unix.Mknodat(parent, path.Base(name), unix.S_IFREG|0o644, 0)
		} else {
			err = unix.Mkdirat(parent, path.Base(name), 0o755)
		}
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "make in the container", Path: target, Err: err}
	}
	return t.Open(made, 0)
}

// MountPoint is Ensure for a mount. It refuses the root itself, where a link in
// the image may lead, because pivot_root would go below such a mount.
func (t Tree) MountPoint(target string, isDir bool) (*os.File, error) {
	place, err := t.Ensure(target, isDir)
	if err != nil {
		return nil, err
	}
	root, err1 := t.Stat()
	there, err2 := place.Stat()
	err = errors.Join(err1, err2)
	if err == nil && os.SameFile(root, there) {
		err = fmt.Errorf("%s is the container's root: nothing can be mounted there", target)
	}
	if err != nil {
		return nil, errors.Join(err, place.Close())
	}
	return place, nil
}

// MountNew mounts a new file system on a directory, which it makes if the image
// lacks it. No part of target may be a symbolic link, which would lead programs
// that look for /proc elsewhere (CVE-2019-19921). The other arguments are
// New's.
func (t Tree) MountNew(target, fsType string, attributes int, options ...string) error {
	if err := unix.Mkdirat(int(t.Fd()), target[1:], 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return &fs.PathError{Op: "make in the container", Path: target, Err: err}
	}
	at, err := t.Open(target+"/.", unix.RESOLVE_NO_SYMLINKS) // /. exists only in a directory
	if errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("the image's %s is a symbolic link: refused", target)
	}
	if err != nil {
		return err
	}
	defer at.Close()
	mount, err := New(fsType, attributes, options...)
	if err != nil {
		return err
	}
	defer mount.Close()
	return Attach(mount, at)
}

// Bind mounts the host's source on target in the container.
func (t Tree) Bind(source, target string, attributes uint64) error {
	mount, err := Clone(source, attributes)
	if err != nil {
		return err
	}
	defer mount.Close()
	return t.Attach(mount, target)
}

// Attach moves a mount to target in the container, and makes target if it is
// missing.
func (t Tree) Attach(mount *os.File, target string) error {
	info, err := mount.Stat()
	if err != nil {
		return err
	}
	place, err := t.MountPoint(target, info.IsDir())
	if err != nil {
		return err
	}
	defer place.Close()
	return Attach(mount, place)
}
