package transfer

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/inroot"
)

// A packer writes a tree as an archive.
type packer struct {
	tar   *tar.Writer
	names map[[2]uint64]string // first name of each file that has several
	one   bool                 // whether to read only directories on the file system dev
	dev   uint64               // the first directory's file system
}

// Pack writes a file or a directory as an archive, under the given name, or its
// own if that is "".
func Pack(w io.Writer, from Place, name string, o Options) error {
	if name == "" {
		name = from.name()
	}
	file, err := from.look(o.Follow)
	if err != nil {
		return err
	}
	defer file.Close()
	p := &packer{tar: tar.NewWriter(w), names: map[[2]uint64]string{}, one: o.OneFilesystem}
	if err := p.file(int(file.Fd()), name); err != nil {
		return err
	}
	return p.tar.Close()
}

// file packs an open file. It reads everything through the descriptor, because
// the name may belong to another file by now.
func (p *packer) file(fd int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Unix()), Format: tar.FormatPAX,
	}
	id := [2]uint64{st.Dev, st.Ino}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFDIR:
		p.dev = cmp.Or(p.dev, st.Dev)
		return p.directory(fd, h, p.one && p.dev != st.Dev)
	case p.names[id] != "":
		h.Typeflag, h.Linkname = tar.TypeLink, p.names[id]
		return p.tar.WriteHeader(h)
	case kind == unix.S_IFLNK:
		link, err := inroot.Readlink(fd, "")
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, link
		return p.tar.WriteHeader(h)
	case kind == unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
		return p.tar.WriteHeader(h)
	case kind != unix.S_IFREG:
		logrus.Warnf("%q is a device or a socket: left out", name)
		return nil
	}
	if st.Nlink > 1 {
		p.names[id] = name
	}
	return p.content(fd, h, st.Size)
}

func (p *packer) content(fd int, h *tar.Header, size int64) error {
	file, err := os.Open(inroot.FdPath(fd))
	if err != nil {
		return fmt.Errorf("%q: %w", h.Name, err)
	}
	defer file.Close()
	h.Typeflag, h.Size = tar.TypeReg, size
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyN(p.tar, file, size)
	if errors.Is(err, io.EOF) { // the file has shrunk, but its entry must have the announced size
		_, err = io.CopyN(p.tar, zeros{}, size-n)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", h.Name, err)
	}
	return nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (p *packer) directory(fd int, h *tar.Header, empty bool) error {
	h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	if err := p.tar.WriteHeader(h); err != nil || empty {
		return err
	}
	dir, err := os.Open(inroot.FdPath(fd))
	if err != nil {
		return fmt.Errorf("%q: %w", h.Name, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("%q: %w", h.Name, err)
	}
	slices.Sort(names)
	for _, name := range names {
		child, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			continue // it has just been removed
		}
		if err != nil {
			return fmt.Errorf("%q: %w", path.Join(h.Name, name), err)
		}
		err = p.file(child, path.Join(h.Name, name))
		if err := errors.Join(err, unix.Close(child)); err != nil {
			return err
		}
	}
	return nil
}
