package chain

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/inroot"
	"example.com/go-docker/day5-networks/layer"
	"example.com/go-docker/day5-networks/metadata"
	"golang.org/x/sys/unix"
)

// A stack holds the top directories of layers, uppermost first. It finds what
// overlayfs would show if implied directories did not exist.
type stack []int

// A file is a file that a stack has found. Close it after use.
type file struct {
	fd      int
	st      unix.Stat_t
	implied bool
}

func (f *file) is(kind uint32) bool { return f.st.Mode&unix.S_IFMT == kind }

func (f *file) close() {
	if f != nil {
		unix.Close(f.fd)
	}
}

// find opens what the layers have at a path without links, or returns nil if
// there is nothing. A directory implied by one layer is what the layers below
// have.
func (s stack) find(name string) (found *file, err error) {
	for _, root := range s {
		f, hides, err := findIn(root, name)
		switch {
		case err != nil:
			found.close()
			return nil, err
		case f == nil:
		case found == nil || f.is(unix.S_IFDIR) || f.is(unix.S_IFLNK):
			found.close()
			found = f
		default: // found takes its place
			f.close()
			return found, nil
		}
		if hides || found != nil && !found.implied {
			break
		}
	}
	return found, nil
}

// findIn looks into one layer and reports whether that layer hides what the
// layers below have there.
func findIn(root int, name string) (f *file, hides bool, err error) {
	f = &file{fd: root}
	for part := range strings.SplitSeq(name, "/") {
		opaque, err := metadata.MarkOf(f.fd, ".", layer.OpaqueXattr)
		hides = hides || opaque == layer.Yes
		next := -1
		if err == nil {
			next, err = metadata.Open(f.fd, part)
		}
		if f.fd != root {
			f.close()
		}
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			return nil, hides || errors.Is(err, unix.ENOTDIR), nil
		}
		if err != nil {
			return nil, false, err
		}
		f.fd = next
	}
	err = unix.Fstat(f.fd, &f.st)
	if err == nil && f.is(unix.S_IFDIR) {
		var mark byte
		mark, err = metadata.MarkOf(f.fd, ".", layer.ImpliedMark)
		f.implied, hides = mark != 0, hides || mark == layer.New
	}
	if whiteout := layer.IsWhiteout(&f.st); err != nil || whiteout {
		f.close()
		return nil, whiteout, err
	}
	return f, hides, nil
}

// hides reports whether the layers below the first two have something at a path
// that these two do not hide already.
func (s stack) hides(name string) (bool, error) {
	nobody := path.Join(path.Dir(name), layer.WhiteoutPrefix) // no file has this name
	for _, root := range s[:2] {
		if _, hidden, err := findIn(root, nobody); err != nil || hidden {
			return false, err
		}
	}
	f, err := s[2:].find(name)
	f.close()
	return f != nil, err
}

// resolve follows name from the directory way and returns a path without links.
func (s stack) resolve(way, name string) (string, error) {
	return inroot.Walk(way, name, func(name string, _ bool) (link string, err error) {
		f, err := s.find(name)
		if err != nil || f == nil {
			return "", err
		}
		defer f.close()
		switch {
		case f.is(unix.S_IFDIR):
			return "", nil
		case f.is(unix.S_IFLNK):
			return inroot.Readlink(f.fd, "")
		}
		return "", fmt.Errorf("%.200q: %w", name, unix.ENOTDIR)
	})
}

// inherit fills in the metadata that an implied directory has.
func (s stack) inherit(name string, hdr *tar.Header) error {
	f, err := s.find(name)
	defer f.close()
	if err == nil && f != nil && f.is(unix.S_IFDIR) {
		err = header(f.fd, hdr)
	}
	return err
}

// header fills in a directory's own metadata.
func header(fd int, hdr *tar.Header) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return layer.Wrap("stat", err)
	}
	h, err := metadata.Of(fd, &st)
	if err == nil {
		h.Typeflag = tar.TypeDir
		*hdr = *h
	}
	return err
}

// IsLoose reports whether an unpacked layer has to be settled. In the lowest
// layer, implied directories are right as they are, because nothing is below.
func IsLoose(dir string, lowest bool) (bool, error) {
	loose, err := metadata.MarkOf(unix.AT_FDCWD, dir, layer.LinkMark)
	if err == nil && loose == 0 && !lowest {
		loose, err = metadata.MarkOf(unix.AT_FDCWD, dir, layer.LooseMark)
	}
	return loose != 0, err
}

// CopyTop gives the directory to the metadata of an image's top directory,
// taken from the uppermost layer that has an entry for it. layers are listed
// lowest first.
func CopyTop(layers []string, to string) (err error) {
	u, err := layer.NewUnpacker(to, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	s := &settler{Unpacker: u}
	for _, dir := range slices.Backward(layers) {
		if top, err := metadata.MarkOf(unix.AT_FDCWD, dir, layer.TopMark); err != nil {
			return fmt.Errorf("layer %s: %w", dir, err)
		} else if top != 0 {
			fd, err := metadata.Open(unix.AT_FDCWD, dir)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return s.own(fd, ".")
		}
	}
	return nil
}

// VisibleLayers returns which of an image's layers, lowest first, to stack. The
// kernel ignores an opaque mark on a layer's top directory, so the layers below
// such a layer must be left out. Nor does it accept the same directory twice.
// The upper one does everything that the lower one did and overrides what came
// between, so only the upper one is kept.
func VisibleLayers(dirs []string) ([]string, error) {
	var visible []string
	for _, dir := range slices.Backward(dirs) {
		if slices.Contains(visible, dir) {
			continue
		}
		visible = append(visible, dir)
		opaque, err := metadata.MarkOf(unix.AT_FDCWD, dir, layer.OpaqueXattr)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", dir, err)
		}
		if opaque == layer.Yes {
			break
		}
	}
	slices.Reverse(visible)
	return visible, nil
}
