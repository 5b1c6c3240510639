// Package inroot opens paths in a tree that somebody else made, an image's, as
// a process would that has the tree for its root: neither .. nor an absolute
// link leads out, and nothing is ever opened by a path on the host.
//
// From rung 11-hostile, plus: what is missing is made on the way.
package inroot

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens what is at name below the directory root with openat2(2). The
// flags are those of open(2), without O_CLOEXEC, which is always set; resolve
// is added to RESOLVE_IN_ROOT. Errors are bare errnos.
func Open(root int, name string, flags, resolve uint64) (int, error) {
	how := &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
	}
	// EAGAIN: something was renamed or mounted meanwhile, anywhere on this
	// machine, and the kernel cannot be sure that .. stayed inside.
	const maxTries = 1000
	for try := 0; ; try++ {
		fd, err := unix.Openat2(root, name, how)
		again := errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
		if !again || try == maxTries {
			return fd, err
		}
	}
}

// Readlink returns what the symbolic link name in the directory dir says:
// EINVAL if it is something else. Name "" is for a dir that is itself a link.
func Readlink(dir int, name string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buffer)
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// FdPath names what is open as a path, for calls that take nothing else.
func FdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// Make walks from root to name and has make make each part that is not a
// symbolic link; the part may be there already. What make gets is the part's
// parent, its path without links, and whether it is the last one. A link whose
// target is missing leads to the target being made. Make returns the path of
// what name means, without links.
func Make(root int, name string, make func(parent int, path string, last bool) error) (string, error) {
	return Walk(".", name, func(name string, last bool) (link string, err error) {
		return step(root, path.Dir(name), path.Base(name), func(parent int) error { return make(parent, name, last) })
	})
}

// Walk walks from the directory way, a path without links, to name, and returns
// the path of what name means, without links. It asks link what each part says,
// if it is a link: "" if not.
func Walk(way, name string, link func(path string, last bool) (string, error)) (string, error) {
	const maxLinks = 40 // the kernel's, path_resolution(7)
	links := 0
	for rest := name; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			way = path.Dir(way) // there are no links in it
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

// step returns what part says, if it is a link, and else has it made.
func step(root int, way, part string, make func(parent int) error) (link string, err error) {
	parent, err := Open(root, way, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(parent)
	link, err = Readlink(parent, part)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return "", make(parent)
	}
	return link, err
}
