package layer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A layer must be able to say that something of the layers below is gone. In a
// tar it says so with an empty file: .wh.x deletes x, and .wh..wh..opq in a
// directory deletes all that the layers below have there (OCI image-spec,
// layer.md, "Whiteouts"). Overlayfs says the same with a character device of
// number 0:0 in the place of x, and with an extended attribute of the
// directory (overlayfs.rst, "whiteouts and opaque directories").
const (
	WhiteoutPrefix = ".wh."
	OpaqueMarker   = ".wh..wh..opq"
	OverlayXattrs  = "trusted.overlay."
	OpaqueXattr    = OverlayXattrs + "opaque"
	originXattr    = OverlayXattrs + "origin"
)

// whiteoutOf returns the name that base, the last part of an entry's name,
// deletes: "" if it is no whiteout.
func whiteoutOf(base string) (string, error) {
	name, is := strings.CutPrefix(base, WhiteoutPrefix)
	switch {
	case !is:
		return "", nil
	case name == "" || name == "." || name == "..":
		return "", errors.New("a whiteout of nothing")
	case strings.HasPrefix(name, WhiteoutPrefix):
		return "", fmt.Errorf("names that begin with %s are reserved for whiteouts", WhiteoutPrefix)
	}
	return name, nil
}

func IsWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// makeWhiteout deletes base for the layers below. What this layer has itself
// stays, whichever of the two comes first in the tar.
func (u *unpacker) makeWhiteout(base string) error {
	err := unix.Mknodat(u.parent.fd, base, unix.S_IFCHR, 0)
	if err == nil {
		// In a directory that only one layer has, nobody looks for whiteouts,
		// and ls would list a name that does not exist. This attribute makes
		// the kernel look (ovl_get_inode in fs/overlayfs/inode.c); its value,
		// the file that was copied up, may be unknown.
		err = unix.Fsetxattr(u.parent.fd, originXattr, nil, 0)
	}
	if !errors.Is(err, unix.EEXIST) {
		return Wrap("make a whiteout", err)
	}
	st, err := u.stat(base)
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = setOpaque(u.parent.fd, base)
	}
	return err
}

// setOpaque hides what the layers below have in a directory.
func setOpaque(dirfd int, name string) error {
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return Wrap("open a directory", err)
	}
	defer unix.Close(fd)
	return Wrap("make a directory opaque", unix.Fsetxattr(fd, OpaqueXattr, []byte("y"), 0))
}

// VisibleLayers returns those of an image's layers, the lowest first, that are
// to be stacked. The kernel does not ask whether the top directory of a layer
// is opaque: so what is below such a layer must be left out.
func VisibleLayers(dirs []string) ([]string, error) {
	for i, dir := range slices.Backward(dirs) {
		opaque, err := isOpaque(dir)
		if err != nil {
			return nil, err
		}
		if opaque {
			return dirs[i:], nil
		}
	}
	return dirs, nil
}

func isOpaque(dir string) (bool, error) {
	var value [1]byte
	n, err := unix.Lgetxattr(dir, OpaqueXattr, value[:])
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ERANGE) {
		return false, nil
	}
	if err != nil {
		return false, &os.PathError{Op: "read " + OpaqueXattr + " of", Path: dir, Err: err}
	}
	return n == 1 && value[0] == 'y', nil
}
