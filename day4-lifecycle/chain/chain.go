// Package chain handles layers whose meaning depends on the layers below. A tar
// may have a file but not the directory that it is in; Bazel and ko write such
// tars. Such an implied directory keeps the owner, mode, times and attributes
// that it has in the layers below, and if it is a symbolic link there, the file
// belongs where the link leads.
//
// It grew from rung 08-whiteouts, and takes the layers below into account.
package chain

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"example.com/go-docker/day4-lifecycle/inroot"
	"example.com/go-docker/day4-lifecycle/layer"
	"example.com/go-docker/day4-lifecycle/metadata"
	"golang.org/x/sys/unix"
)

// Settle fills the empty directory to with what the unpacked layer from means
// on top of the layers below, which are listed lowest first. Files are not
// copied but hard-linked. After an error, discard to.
func Settle(from, to string, below []string) (err error) {
	u, err := layer.NewUnpacker(to, layer.NewQuota())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	s := &settler{Unpacker: u}
	for _, dir := range append(slices.Clone(below), to, from) {
		top, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer top.Close()
		s.stack = append(stack{int(top.Fd())}, s.stack...)
	}
	u.Inherit = s.stack.inherit
	for _, s.now = range []pass{whiteouts, links, links, files, hardLinks} {
		if err := s.directory(s.stack[0], ".", "."); err != nil {
			return err
		}
	}
	return nil
}

// A settler goes through a layer in several passes: what a name means depends
// on what is deleted and on symbolic links, which may be reached through other
// links, and a hard link needs its target.
type pass int

const (
	whiteouts pass = iota
	links
	files
	hardLinks
)

// A settler reads the unpacked layer, stack[0], and makes the settled one,
// stack[1].
type settler struct {
	*layer.Unpacker
	stack stack
	now   pass
}

// directory settles the directory called name in the settled layer's directory
// way. No path in the settled layer leads through links.
func (s *settler) directory(fd int, way, name string) error {
	here, anew, err := look(fd, name)
	if err != nil {
		return err
	}
	to := path.Join(way, name)
	if here.implied {
		to, err = s.stack.resolve(way, name)
	}
	switch {
	case err != nil:
	case s.now == whiteouts && anew:
		err = s.whiteout(path.Join(way, name))
	case s.now == whiteouts:
		var opaque byte
		if opaque, err = metadata.MarkOf(fd, ".", layer.OpaqueXattr); opaque != 0 {
			err = s.hide(to, to, s.SetOpaque)
		}
	case s.now == files && !here.implied:
		err = s.own(here.dir, to)
	}
	if err != nil {
		return err
	}
	// Sorted, so that a layer is settled in the same way everywhere.
	children, err := os.ReadDir(inroot.FdPath(fd))
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := s.child(fd, child, to); err != nil {
			return err
		}
	}
	return nil
}

// own makes a directory that has its own entry in the tar.
func (s *settler) own(hdr *tar.Header, to string) error {
	if to == "." {
		return s.Top(hdr)
	}
	if err := s.Enter(path.Dir(to)); err != nil {
		return err
	}
	return s.Directory(hdr, path.Base(to))
}

// whiteout makes a whiteout if there is something below to hide.
func (s *settler) whiteout(to string) error {
	return s.hide(to, path.Dir(to), func() error { return s.Whiteout(path.Base(to)) })
}

// hide calls mark in a directory, and makes that if it is missing, unless the
// layers below have nothing to hide.
func (s *settler) hide(name, dir string, mark func() error) error {
	hides, err := s.stack.hides(name)
	if err != nil || !hides {
		return err
	}
	if err := s.Enter(dir); err != nil {
		return err
	}
	return mark()
}

// child settles what is in a directory of the layer, if now is its pass.
func (s *settler) child(dirfd int, entry fs.DirEntry, way string) error {
	name := entry.Name()
	when := files
	switch entry.Type() {
	case fs.ModeDir:
		fd, err := metadata.Open(dirfd, name)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return s.directory(fd, way, name)
	case fs.ModeSymlink:
		hard, err := metadata.MarkOf(dirfd, name, layer.LinkMark)
		if err != nil {
			return err
		}
		if when = links; hard != 0 {
			when = hardLinks
		}
	case fs.ModeDevice | fs.ModeCharDevice:
		var st unix.Stat_t
		if err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return layer.Wrap("stat", err)
		}
		if layer.IsWhiteout(&st) {
			when = whiteouts
		}
	}
	if when != s.now {
		return nil
	}
	if when == whiteouts {
		return s.whiteout(path.Join(way, name))
	}
	err := s.Enter(way)
	if err != nil {
		return err
	}
	if when == hardLinks {
		err = s.hardLink(dirfd, name)
	} else {
		err = s.Link(dirfd, name, name)
	}
	return layer.Wrap(fmt.Sprintf("%.200q", path.Join(way, name)), err)
}

// hardLink makes the hard link that a symbolic link stands for.
func (s *settler) hardLink(dirfd int, name string) error {
	target, err := inroot.Readlink(dirfd, name)
	if err != nil {
		return err
	}
	way, err := s.stack.resolve(".", path.Dir(target))
	if err != nil {
		return fmt.Errorf("hard link to %.200q: %w", target, err)
	}
	return s.HardLink(path.Join(way, path.Base(target)), name)
}
