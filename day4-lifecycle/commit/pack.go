package commit

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"example.com/go-docker/day4-lifecycle/inroot"
	"example.com/go-docker/day4-lifecycle/layer"
	"example.com/go-docker/day4-lifecycle/metadata"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// packLayer writes what a container has changed, its overlay's upper directory,
// as the tar of a layer. The same directory always gives the same bytes and
// thus the same digest: names are sorted, and the times of access and inode
// change are left out.
func packLayer(w io.Writer, upper string) error { return pack(w, upper, true) }

// PackTree writes a plain directory as a layer with nothing below it.
func PackTree(w io.Writer, dir string) error { return pack(w, dir, false) }

func pack(w io.Writer, dir string, overlay bool) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	p := &packer{tar: tar.NewWriter(w), overlay: overlay, names: map[inode]string{}}
	if err := p.children(fd, "."); err != nil {
		return fmt.Errorf("pack %s: %w", dir, err)
	}
	return layer.Wrap("pack "+dir, p.tar.Close())
}

// A packer may read the tree of a running container, which can replace a
// directory by a link at any moment. So it opens each name once, without
// following links, and reads everything through that descriptor
// (CVE-2018-15664).
type packer struct {
	tar     *tar.Writer
	overlay bool
	names   map[inode]string // first name of each file that has several
}

type inode struct{ dev, number uint64 }

// children packs what is in a directory.
func (p *packer) children(fd int, name string) error {
	dir, err := os.Open(inroot.FdPath(fd))
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	defer dir.Close()
	children, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	slices.Sort(children)
	for _, child := range children {
		child = path.Join(name, child)
		if err := p.file(int(dir.Fd()), child); err != nil {
			return fmt.Errorf("%q: %w", child, err)
		}
	}
	return nil
}

func (p *packer) file(dirfd int, name string) error {
	base := path.Base(name)
	fd, err := metadata.Open(dirfd, base)
	if errors.Is(err, unix.ENOENT) {
		return nil // a running container has just removed it
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return layer.Wrap("stat", err)
	}
	switch {
	case p.overlay && layer.IsWhiteout(&st):
		return p.marker(path.Join(path.Dir(name), layer.WhiteoutPrefix+base))
	case strings.HasPrefix(base, layer.WhiteoutPrefix):
		return fmt.Errorf("a layer cannot hold a file with this name: %s deletes files of the layers below", layer.WhiteoutPrefix)
	case st.Mode&unix.S_IFMT == unix.S_IFSOCK:
		logrus.Warnf("%q is a socket, for which tar has no entry: left out", name)
		return nil
	}
	hdr, err := metadata.Of(fd, &st)
	if err != nil {
		return err
	}
	hdr.Name = name
	if first, again := p.names[inode{st.Dev, st.Ino}]; again {
		hdr.Typeflag, hdr.Linkname, hdr.PAXRecords = tar.TypeLink, first, nil
		return p.tar.WriteHeader(hdr)
	}
	if err := p.checkComplete(fd); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return p.directory(hdr, fd)
	}
	if st.Nlink > 1 {
		p.names[inode{st.Dev, st.Ino}] = name
	}
	return p.content(hdr, fd, &st)
}

// marker writes a whiteout. It gets no time, because the kernel makes a single
// device node and links it to every deleted name.
func (p *packer) marker(name string) error {
	return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
}

func (p *packer) directory(hdr *tar.Header, fd int) error {
	name := hdr.Name
	hdr.Typeflag, hdr.Name = tar.TypeDir, name+"/"
	if err := p.tar.WriteHeader(hdr); err != nil {
		return err
	}
	opaque, err := metadata.MarkOf(fd, ".", layer.OpaqueXattr)
	if err == nil && p.overlay && opaque == layer.Yes {
		err = p.marker(path.Join(name, layer.OpaqueMarker))
	}
	if err != nil {
		return err
	}
	return p.children(fd, name)
}

// content writes the entry and the content of a file that is neither a
// directory nor another name of one already written.
func (p *packer) content(hdr *tar.Header, fd int, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		hdr.Typeflag, hdr.Size = tar.TypeReg, st.Size
	case unix.S_IFLNK:
		var err error
		hdr.Typeflag = tar.TypeSymlink
		if hdr.Linkname, err = inroot.Readlink(fd, ""); err != nil {
			return layer.Wrap("read the link", err)
		}
	case unix.S_IFIFO:
		hdr.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		hdr.Typeflag = tar.TypeChar
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			hdr.Typeflag = tar.TypeBlock
		}
		hdr.Devmajor, hdr.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	}
	if hdr.Size == 0 {
		return p.tar.WriteHeader(hdr)
	}
	file, err := os.Open(inroot.FdPath(fd))
	if err != nil {
		return err
	}
	defer file.Close()
	return AddEntry(p.tar, hdr, io.LimitReader(file, hdr.Size))
}

// AddEntry writes an entry and its content, which it reads to the end.
func AddEntry(w *tar.Writer, hdr *tar.Header, content io.Reader) error {
	if err := w.WriteHeader(hdr); err != nil {
		return err
	}
	n, err := io.Copy(w, content)
	if err == nil && n < hdr.Size {
		err = errors.New("it became shorter while it was read: stop the container first")
	}
	return err
}

// checkComplete refuses files of which overlayfs has left a part in a lower
// layer.
func (p *packer) checkComplete(fd int) error {
	if !p.overlay {
		return nil
	}
	names, err := metadata.List(fd)
	for _, name := range names {
		switch strings.TrimPrefix(name, metadata.Overlay) {
		case "redirect", "metacopy":
			return fmt.Errorf("it has %s, so a part of it is only in the layers below: the overlay must be mounted with redirect_dir=off,metacopy=off", name)
		}
	}
	return err
}
