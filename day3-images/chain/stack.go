package chain

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"example.com/go-docker/day3-images/inroot"
	"example.com/go-docker/day3-images/layer"
	"example.com/go-docker/day3-images/metadata"
	"golang.org/x/sys/unix"
)

// A stack holds the top directories of layers, uppermost first. It finds what
// overlayfs would show if implied directories did not exist.
type stack []int

// A file is what a layer has at a path.
type file struct {
	link    string      // target of a symbolic link
	dir     *tar.Header // metadata of a directory
	implied bool
}

// find returns what the layers have at a path without links, or nil if there is
// nothing. A directory implied by one layer is what the layers below have.
func (s stack) find(name string) (found *file, err error) {
	for _, root := range s {
		f, hides, err := findIn(root, name)
		if err != nil {
			return nil, err
		}
		if f != nil {
			if found != nil && f.dir == nil && f.link == "" {
				return found, nil // it takes the place of f
			}
			found = f
		}
		if hides || found != nil && !found.implied {
			break
		}
	}
	return found, nil
}

// findIn looks into a directory of one layer and reports whether that layer
// hides what the layers below have there.
func findIn(dirfd int, name string) (f *file, hides bool, err error) {
	first, rest, more := strings.Cut(name, "/")
	opaque, err := metadata.MarkOf(dirfd, ".", layer.OpaqueXattr)
	fd := -1
	if err == nil {
		fd, err = metadata.Open(dirfd, first)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, opaque != 0, nil
	case errors.Is(err, unix.ENOTDIR): // dirfd is a file, or a link, which is not followed
		return nil, true, nil
	case err != nil:
		return nil, false, err
	}
	defer unix.Close(fd)
	if more {
		f, hides, err = findIn(fd, rest)
	} else {
		f, hides, err = look(fd, name)
	}
	return f, hides || opaque != 0, err
}

// look is findIn for a file that is open.
func look(fd int, name string) (f *file, hides bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, false, layer.Wrap("stat", err)
	}
	f = &file{}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		if layer.IsWhiteout(&st) {
			return nil, true, nil
		}
	case unix.S_IFLNK:
		f.link, err = inroot.Readlink(fd, "")
	case unix.S_IFDIR:
		mark, err := metadata.MarkOf(fd, ".", layer.ImpliedMark)
		f.implied, hides = mark != 0, mark == layer.New
		if err == nil && name == "." { // marked if it is not implied
			mark, err = metadata.MarkOf(fd, ".", layer.TopMark)
			f.implied = mark == 0
		}
		if err != nil {
			return nil, false, err
		}
		f.dir, err = metadata.Of(fd, &st)
		f.dir.Typeflag = tar.TypeDir
		return f, hides, err
	}
	return f, hides, err
}

// hides reports whether the layers below the first two have something at a path
// that these two do not hide already.
func (s stack) hides(name string) (bool, error) {
	nobody := path.Join(path.Dir(name), layer.WhiteoutPrefix) // no file has this name
	for _, root := range s[:2] {
		if _, hidden, err := findIn(root, nobody); err != nil || hidden && name != "." { // nothing can hide the top
			return false, err
		}
	}
	f, err := s[2:].find(name)
	return f != nil, err
}

// resolve follows name from the directory way and returns a path without links.
func (s stack) resolve(way, name string) (string, error) {
	return inroot.Walk(way, name, func(name string, _ bool) (link string, err error) {
		f, err := s.find(name)
		switch {
		case err != nil || f == nil:
			return "", err
		case f.dir == nil && f.link == "":
			return "", fmt.Errorf("%.200q: %w", name, unix.ENOTDIR)
		}
		return f.link, nil
	})
}

// inherit fills in the metadata that an implied directory has.
func (s stack) inherit(name string, hdr *tar.Header) error {
	f, err := s.find(name)
	if err == nil && f != nil && f.dir != nil {
		*hdr = *f.dir
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
func CopyTop(layers []string, to string) error {
	var s stack
	for _, dir := range slices.Backward(layers) {
		top, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer top.Close()
		s = append(s, int(top.Fd()))
	}
	hdr := &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Now()}
	if err := s.inherit(".", hdr); err != nil {
		return err
	}
	return new(metadata.Setter).Set(unix.AT_FDCWD, to, hdr, true)
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
