// Package chain finds out what a layer is on top of the layers below it, where
// that is not the same everywhere. A tar may have a file and not the directory
// that it is in, as Bazel and ko write them. Such an implied directory keeps the
// owner, mode, times and attributes that it has in the layers below, and if it
// is a symbolic link there, the file belongs where that leads.
//
// From rung 08-whiteouts, plus: what the layers below say.
package chain

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"example.com/go-docker/day4-lifecycle/inroot"
	"example.com/go-docker/day4-lifecycle/layer"
	"example.com/go-docker/day4-lifecycle/metadata"
	"golang.org/x/sys/unix"
)

// Settle makes in to, an empty directory, what the unpacked layer from is on top
// of the layers below, the lowest first. Files are not copied: they get one more
// name. After an error to is to be thrown away.
func Settle(from, to string, below []string) (err error) {
	u, err := layer.NewUnpacker(to, layer.NewQuota())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	s := &settler{Unpacker: u}
	for _, dir := range append(slices.Clone(below), to, from) {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: dir, Err: err}
		}
		defer unix.Close(fd)
		s.stack = append(stack{fd}, s.stack...)
	}
	u.Inherit = s.stack.inherit
	if err := s.directory(s.stack[0], ".", "."); err != nil {
		return err
	}
	if s.linking = s.links; s.links {
		return s.directory(s.stack[0], ".", ".") // again, with all files in their places
	}
	return nil
}

// A settler goes through the unpacked layer, which is stack[0], and makes the
// settled one, stack[1].
type settler struct {
	*layer.Unpacker
	stack   stack
	links   bool // the layer has names that stand for hard links
	linking bool // and only these are of interest
}

// directory settles a directory, which is called name in the settled layer's
// directory way. No path in the settled layer leads through links.
func (s *settler) directory(fd int, way, name string) error {
	implied, err := metadata.MarkOf(fd, ".", layer.ImpliedMark)
	if err != nil {
		return err
	}
	to := path.Join(way, name)
	if implied != 0 {
		to, err = s.stack.resolve(way, name)
	}
	if err == nil && !s.linking {
		err = s.make(fd, to, implied)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(inroot.FdPath(fd))
	if err != nil {
		return err
	}
	defer dir.Close()
	children, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(children) // that a layer be settled in the same way everywhere
	for _, child := range children {
		if err := s.child(int(dir.Fd()), child, to); err != nil {
			return err
		}
	}
	return nil
}

// make makes a directory, or what it has to say if it is implied: those with
// nothing but whiteouts in them must not be made where nothing is.
func (s *settler) make(fd int, to string, implied byte) error {
	opaque, err := metadata.MarkOf(fd, ".", layer.OpaqueXattr)
	switch {
	case err != nil:
		return err
	case implied == layer.New:
		return s.whiteout(to)
	case implied != 0 && opaque != 0:
		if hides, err := s.stack.hides(to); err != nil || !hides {
			return err
		}
	case implied == 0:
		err = s.own(fd, to)
	}
	if err == nil && opaque != 0 {
		if err = s.Enter(to); err == nil {
			err = s.SetOpaque()
		}
	}
	return err
}

// own makes a directory that has an entry of its own.
func (s *settler) own(fd int, to string) error {
	hdr := &tar.Header{}
	if err := header(fd, hdr); err != nil {
		return err
	}
	if to == "." {
		top, err := metadata.MarkOf(fd, ".", layer.TopMark)
		if err != nil || top == 0 {
			return err
		}
		return s.Top(hdr)
	}
	if err := s.Enter(path.Dir(to)); err != nil {
		return err
	}
	return s.Directory(hdr, path.Base(to))
}

// whiteout makes one, if there is something below.
func (s *settler) whiteout(to string) error {
	hides, err := s.stack.hides(to)
	if err != nil || !hides {
		return err
	}
	if err := s.Enter(path.Dir(to)); err != nil {
		return err
	}
	return s.Whiteout(path.Base(to))
}

func (s *settler) child(dirfd int, name, way string) error {
	fd, err := metadata.Open(dirfd, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return layer.Wrap("stat", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return s.directory(fd, way, name)
	}
	link, err := metadata.MarkOf(dirfd, name, layer.LinkMark)
	s.links = s.links || link != 0
	if err != nil || (link != 0) != s.linking {
		return err
	}
	if layer.IsWhiteout(&st) {
		return s.whiteout(path.Join(way, name))
	}
	if err := s.Enter(way); err != nil {
		return err
	}
	if link != 0 {
		err = s.hardLink(fd, name)
	} else {
		err = s.Link(dirfd, name, name)
	}
	return layer.Wrap(fmt.Sprintf("%.200q", path.Join(way, name)), err)
}

// hardLink makes the hard link that a symbolic link stands for.
func (s *settler) hardLink(fd int, name string) error {
	target, err := inroot.Readlink(fd, "")
	if err != nil {
		return err
	}
	way, err := s.stack.resolve(".", path.Dir(target))
	if err != nil {
		return fmt.Errorf("hard link to %.200q: %w", target, err)
	}
	return s.HardLink(path.Join(way, path.Base(target)), name)
}
