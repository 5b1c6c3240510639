package commit

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"example.com/go-docker/day3-images/inroot"
	"example.com/go-docker/day3-images/layer"
	"example.com/go-docker/day3-images/metadata"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// packLayer writes what a container has changed, its overlay's upper directory,
// as the tar of a layer. The same directory always gives the same bytes and
// thus the same digest: names are sorted, and the times of access and inode
// change are left out.
func packLayer(w io.Writer, upper string) error {
	return layer.Wrap("pack "+upper, pack(w, upper, true))
}

// PackTree writes a plain directory as a layer with nothing below it.
func PackTree(w io.Writer, dir string) error { return layer.Wrap("pack", pack(w, dir, false)) }

func pack(w io.Writer, dir string, overlay bool) error {
	top, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer top.Close()
	p := &packer{tar: tar.NewWriter(w), overlay: overlay, names: map[inode]string{}}
	if err := p.children(int(top.Fd()), "."); err != nil {
		return err
	}
	return p.tar.Close()
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

var kinds = map[uint32]byte{
	unix.S_IFREG: tar.TypeReg, unix.S_IFDIR: tar.TypeDir, unix.S_IFLNK: tar.TypeSymlink,
	unix.S_IFIFO: tar.TypeFifo, unix.S_IFCHR: tar.TypeChar, unix.S_IFBLK: tar.TypeBlock,
}

// children packs what is in a directory, sorted by name.
func (p *packer) children(fd int, name string) error {
	children, err := os.ReadDir(inroot.FdPath(fd))
	if err != nil {
		return err
	}
	for _, child := range children {
		name := path.Join(name, child.Name())
		if err := p.file(fd, name); err != nil {
			return fmt.Errorf("%q: %w", name, err)
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
	return p.entry(fd, &st, name)
}

func (p *packer) entry(fd int, st *unix.Stat_t, name string) error {
	hdr, err := metadata.Of(fd, st)
	if err != nil {
		return err
	}
	hdr.Name, hdr.Typeflag = name, kinds[st.Mode&unix.S_IFMT]
	hdr.Devmajor, hdr.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev)) // 0 but for devices
	file := inode{st.Dev, st.Ino}
	if first, again := p.names[file]; again {
		hdr.Typeflag, hdr.Linkname, hdr.PAXRecords = tar.TypeLink, first, nil
		return p.tar.WriteHeader(hdr)
	}
	if st.Nlink > 1 && hdr.Typeflag != tar.TypeDir {
		p.names[file] = name
	}
	switch hdr.Typeflag {
	case tar.TypeDir:
		hdr.Name += "/"
		return p.directory(hdr, fd)
	case tar.TypeReg:
		hdr.Size = st.Size
		return p.content(hdr, fd)
	case tar.TypeSymlink:
		if hdr.Linkname, err = inroot.Readlink(fd, ""); err != nil {
			return layer.Wrap("read the link", err)
		}
	}
	return p.tar.WriteHeader(hdr)
}

// marker writes a whiteout. It gets no time, because the kernel makes a single
// device node and links it to every deleted name.
func (p *packer) marker(name string) error {
	return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
}

func (p *packer) directory(hdr *tar.Header, fd int) error {
	if err := p.tar.WriteHeader(hdr); err != nil {
		return err
	}
	opaque, err := metadata.MarkOf(fd, ".", layer.OpaqueXattr)
	if err == nil && p.overlay && opaque == layer.Yes {
		err = p.marker(path.Join(hdr.Name, layer.OpaqueMarker))
	}
	if err != nil {
		return err
	}
	return p.children(fd, hdr.Name)
}

func (p *packer) content(hdr *tar.Header, fd int) error {
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
