// Package layer turns the tar of an image's layer into a directory that
// overlayfs can stack. It does not trust the tar.
//
// It grew from rungs 08-whiteouts and 11-hostile, and adds extended attributes,
// devices, sparse files, limits on bytes and entries, and zstd.
package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"example.com/go-docker/day3-images/metadata"
	"golang.org/x/sys/unix"
)

// Unpack unpacks the tar of one layer into dir, an empty directory that nobody
// else can enter. The result can be a lower directory for overlayfs as it is
// or, if it IsLoose, after package chain has settled it. Unpack reads r to its
// end, so that the digest of what it reads is the digest of the layer. After an
// error, discard dir.
func Unpack(r io.Reader, dir string, q *Quota) (err error) {
	u, err := NewUnpacker(dir, q)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	layer := Metered(r, q)
	archive := tar.NewReader(layer)
	for {
		hdr, err := archive.Next()
		if err == io.EOF {
			if _, err := io.Copy(io.Discard, layer); err != nil { // like tar(1), ignore what follows the end
				return Wrap("read the layer", err)
			}
			return u.markLoose()
		}
		if err != nil {
			return Wrap("read the layer", ExplainTar(err))
		}
		if err := u.entry(hdr, archive); err != nil {
			return fmt.Errorf("layer entry %.200q: %w", hdr.Name, ExplainTar(err))
		}
	}
}

func ExplainTar(err error) error {
	switch {
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("%w: it is damaged, or not a tar compressed with gzip or zstd, or not compressed", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it was cut off", err)
	}
	return err
}

func Wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// An Unpacker makes a layer's files. The tar is not to be trusted: a name may
// contain links that the tar itself made, and they may lead anywhere. So paths
// go only to openat2(2), which resolves them as if the layer were the root
// directory: for /var/run -> /run that is what the image means, and x -> /etc
// leads to the layer's own /etc. Every other call gets a single name in a
// directory that was opened this way.
type Unpacker struct {
	root   int // descriptor of the layer's top directory
	parent parentDir
	quota  *Quota
	buffer []byte

	set metadata.Setter

	// Inherit fills in the metadata of a directory that has no entry, given its
	// path without links. It is nil while a layer is being unpacked, because
	// the layers below are not known then.
	Inherit func(name string, hdr *tar.Header) error
	implied int  // such directories
	links   bool // something stands in for a hard link
}

// NewUnpacker returns an Unpacker that makes files in dir, an empty directory.
// Close it after use.
func NewUnpacker(dir string, q *Quota) (*Unpacker, error) {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	// A tar may leave out its top directory. Without execute permission on the
	// root directory, only root could do anything in the container.
	if err := unix.Fchmod(root, 0o755); err != nil {
		unix.Close(root)
		return nil, &os.PathError{Op: "chmod", Path: dir, Err: err}
	}
	return &Unpacker{root: root, parent: parentDir{fd: -1}, quota: q, buffer: make([]byte, len(zeros))}, nil
}

// Close restores the last directory's times and closes the layer.
func (u *Unpacker) Close() error { return errors.Join(u.leave(), unix.Close(u.root)) }

// entry makes one file. If several entries have the same name the last one
// wins, but directories keep their contents.
func (u *Unpacker) entry(hdr *tar.Header, content io.Reader) error {
	if err := u.quota.takeEntry(); err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeXGlobalHeader || isAufs(hdr.Name) { // a comment, such as git archive writes
		return nil
	}
	name, err := entryName(hdr.Name)
	if err != nil {
		return err
	}
	if name == "." {
		return u.Top(hdr)
	}
	if err := u.Enter(path.Dir(name)); err != nil {
		return err
	}
	base := path.Base(name)
	hidden, err := whiteoutOf(base)
	switch {
	case base == OpaqueMarker:
		return u.SetOpaque()
	case err != nil:
		return err
	case hidden != "":
		return u.Whiteout(hidden)
	}
	return u.make(hdr, base, content)
}

// entryName returns a name relative to the layer's top, without . and empty
// parts. An absolute name starts at the top, too. A name with .. in it is
// refused: no tool that builds images writes one, and what x/.. means depends
// on what x is.
func entryName(name string) (string, error) {
	clean := path.Join(".", name)
	switch {
	case name == "":
		return "", errors.New("it has no name")
	case strings.ContainsRune(name, 0):
		return "", errors.New("a name with a NUL byte")
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", errors.New("a name with .. in it may lead out of the layer: refused")
	case strings.Contains("/"+path.Dir(clean), "/"+WhiteoutPrefix):
		return "", errors.New("a whiteout is not a directory")
	}
	return clean, nil
}

// make makes the file for an entry and sets its metadata.
func (u *Unpacker) make(hdr *tar.Header, base string, content io.Reader) (err error) {
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		err = u.file(hdr, base, content)
	case tar.TypeDir:
		return u.Directory(hdr, base)
	case tar.TypeLink: // the file already has its owner, mode and times
		return Wrap(fmt.Sprintf("hard link to %.200q", hdr.Linkname), u.HardLink(hdr.Linkname, base))
	case tar.TypeSymlink:
		if hdr.Linkname == "" {
			return errors.New("a symbolic link to nothing")
		}
		err = u.create(base, func() error { return unix.Symlinkat(hdr.Linkname, u.parent.fd, base) })
	case tar.TypeChar:
		err = u.node(hdr, base, unix.S_IFCHR)
	case tar.TypeBlock:
		err = u.node(hdr, base, unix.S_IFBLK)
	case tar.TypeFifo:
		err = u.create(base, func() error { return unix.Mknodat(u.parent.fd, base, unix.S_IFIFO|0o600, 0) })
	default:
		return fmt.Errorf("a layer has no entries of type %q", hdr.Typeflag)
	}
	if err != nil {
		return err
	}
	return u.set.Set(u.parent.fd, base, hdr, false)
}
