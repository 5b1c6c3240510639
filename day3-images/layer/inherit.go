package layer

import (
	"archive/tar"
	"os"
	"slices"
	"time"

	"example.com/go-docker/day3-images/xattr"
	"golang.org/x/sys/unix"
)

// PlainDirectory is the metadata of a directory that no layer has an entry for.
func PlainDirectory() *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}
}

// DirectoryHeader returns a directory's metadata as a tar would have them.
func DirectoryHeader(fd int) (*tar.Header, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, Wrap("stat", err)
	}
	records, err := xattr.Records(fd)
	return &tar.Header{
		Typeflag: tar.TypeDir, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Unix()), PAXRecords: records,
	}, err
}

// CopyTop gives the directory to the metadata of an image's top directory: those
// of the uppermost of its layers, the lowest first, that has an entry for it.
func CopyTop(layers []string, to string) error {
	hdr := PlainDirectory()
	for _, dir := range slices.Backward(layers) {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: dir, Err: err}
		}
		defer unix.Close(fd)
		own, err := xattr.Marked(fd, TopMark)
		if err == nil && own {
			hdr, err = DirectoryHeader(fd)
		}
		if err != nil {
			return err
		}
		if own {
			break
		}
	}
	u, err := NewUnpacker(to, nil)
	if err != nil {
		return err
	}
	defer unix.Close(u.root)
	return u.setMetadata(u.root, ".", hdr, false)
}
