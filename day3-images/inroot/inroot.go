// Package inroot opens paths in an untrusted tree, such as an image's, like a
// process that has the tree as its root: neither .. nor an absolute link leads
// out, and nothing is ever opened by a path on the host.
//
// It grew from rung 11-hostile, can make what is missing on the way, and removes
// trees of any depth.
package inroot

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens name below the directory root with openat2(2). The flags are those
// of open(2), without O_CLOEXEC, which is always set; resolve is added to
// RESOLVE_IN_ROOT. Errors are bare errnos.
func Open(root int, name string, flags, resolve uint64) (int, error) {
	how := &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
	}
	// EAGAIN means that something was renamed or mounted meanwhile, anywhere on
	// the machine, and the kernel cannot be sure that .. stayed inside.
	const maxTries = 1000
	for try := 0; ; try++ {
		fd, err := unix.Openat2(root, name, how)
		again := errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
		if !again || try == maxTries {
			return fd, err
		}
	}
}

// Readlink returns the target of the symbolic link name in the directory dir,
// or EINVAL if it is not a link. With name "", dir itself is the link.
func Readlink(dir int, name string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buffer)
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// FdPath returns a path for an open file, for calls that take only paths.
func FdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// Make walks from root to name and calls make for each part that is not a
// symbolic link, whether or not it exists. make gets the part's parent, the
// part's path without links, and whether it is the last one. If a link's target
// is missing, the target is made. Make returns the path without links that name
// leads to.
func Make(root int, name string, make func(parent int, path string, last bool) error) (string, error) {
	return Walk(".", name, func(name string, last bool) (link string, err error) {
		parent, err := Open(root, path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return "", err
		}
		defer unix.Close(parent)
		link, err = Readlink(parent, path.Base(name))
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
			return "", make(parent, name, last)
		}
		return link, err
	})
}

// Walk walks from the directory way, a path without links, to name, and returns
// the path without links that name leads to. It calls link for each part, which
// returns the target of a symbolic link and "" for anything else.
func Walk(way, name string, link func(path string, last bool) (string, error)) (string, error) {
	const maxLinks = 40 // as in the kernel, path_resolution(7)
	links := 0
	for rest := name; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			way = path.Dir(way) // way has no links in it
			continue
		}
		next := path.Join(way, part)
		target, err := link(next, strings.Trim(rest, "/") == "")
		switch {
		case err != nil:
			return "", err
		case target == "":
			way = next
			continue
		}
		if links++; links > maxLinks {
			return "", unix.ELOOP
		}
		if path.IsAbs(target) {
			way = "."
		}
		rest = target + "/" + rest
	}
	return way, nil
}

// RemoveAll removes dir and everything below it, however deep. os.RemoveAll has
// a file open for each level, and an image or a container can make more levels
// than a process may have files open, RLIMIT_NOFILE in getrlimit(2). Then every
// directory moves up into dir. Only directories are entered, no links, and
// nobody may change them meanwhile.
func RemoveAll(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, unix.EMFILE) {
		return err
	}
	for todo := []string{dir}; len(todo) > 0; todo = todo[1:] {
		entries, err := os.ReadDir(todo[0])
		for _, e := range entries {
			if up := path.Join(dir, rand.Text()); e.IsDir() {
				err = errors.Join(err, os.Rename(path.Join(todo[0], e.Name()), up))
				todo = append(todo, up)
			}
		}
		if err == nil && todo[0] != dir { // at once: a full disk may have no room for all their names in dir
			err = os.RemoveAll(todo[0])
		}
		if err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}
