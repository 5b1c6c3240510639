package layer

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"example.com/go-docker/day5-networks/metadata"
	"golang.org/x/sys/unix"
)

// A layer must be able to delete something in the layers below. In a tar it
// does so with an empty file: .wh.x deletes x, and .wh..wh..opq in a directory
// deletes everything that the layers below have there (OCI image-spec,
// layer.md, "Whiteouts"). Overlayfs uses a character device 0:0 in place of x,
// and an extended attribute of the directory (overlayfs.rst, "whiteouts and
// opaque directories").
const (
	WhiteoutPrefix = ".wh."
	OpaqueMarker   = ".wh..wh..opq"
	OpaqueXattr    = metadata.Overlay + "opaque"
	originXattr    = metadata.Overlay + "origin"
)

// isAufs recognizes files that aufs kept for itself in a branch, and that old
// images still have.
func isAufs(name string) bool {
	first, _, _ := strings.Cut(path.Clean("/" + name)[1:], "/")
	return first == ".wh..wh.aufs" || first == ".wh..wh.orph" || first == ".wh..wh.plnk"
}

// whiteoutOf returns the name that base, the last part of an entry's name,
// deletes, or "" if it is not a whiteout.
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

// Whiteout deletes base in the layers below. If this layer itself has base,
// that stays, whichever comes first in the tar; but a directory becomes opaque.
func (u *Unpacker) Whiteout(base string) error {
	err := unix.Mknodat(u.parent.fd, base, unix.S_IFCHR, 0)
	if err == nil {
		// In a directory that only one layer has, the kernel does not look for
		// whiteouts, and ls would list a name that does not exist. This
		// attribute makes the kernel look (ovl_get_inode in
		// fs/overlayfs/inode.c); its value, the file that was copied up, may be
		// empty.
		err = unix.Fsetxattr(u.parent.fd, originXattr, nil, 0)
	}
	if !errors.Is(err, unix.EEXIST) {
		return Wrap("make a whiteout", err)
	}
	st, err := u.stat(base)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	if err := u.remark(base, New); err != nil {
		return err
	}
	return metadata.Mark(u.parent.fd, base, OpaqueXattr, Yes)
}

// SetOpaque hides what the layers below have in the directory last entered.
func (u *Unpacker) SetOpaque() error { return metadata.Mark(u.parent.fd, ".", OpaqueXattr, Yes) }
