package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"example.com/go-docker/day3-images/inroot"
	"golang.org/x/sys/unix"
)

// A rootDir is the container's root while it is still a directory of the host.
type rootDir struct{ *os.File }

func openRoot(dir string) (rootDir, error) {
	file, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	return rootDir{file}, err
}

// open opens what is at path in the container, as the container will see
// it: links are followed, but the root is the container's root. openat2(2)
func (r rootDir) open(path string, extra uint64) (*os.File, error) {
	fd, err := inroot.Open(int(r.Fd()), path, unix.O_PATH, extra)
	if err != nil {
		return nil, &fs.PathError{Op: "open in the container", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// ensure opens what is at target in the container, and makes it when it is not
// there: directories down to it and, if it is to be a file, an empty one.
func (r rootDir) ensure(target string, isDir bool) (*os.File, error) {
	file, err := r.open(target, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	made, err := inroot.Make(int(r.Fd()), target, func(parent int, name string, last bool) error {
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
	return r.open(made, 0)
}

// mountPoint is ensure for a mount. On the root itself, where a link of the
// image may lead, there is no place for one: pivot would go below it.
func (r rootDir) mountPoint(target string, isDir bool) (*os.File, error) {
	place, err := r.ensure(target, isDir)
	if err != nil {
		return nil, err
	}
	root, err1 := r.Stat()
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
