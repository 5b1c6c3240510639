package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.com/go-docker/day4-lifecycle/inroot"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// OpenPath opens a file of any kind, only to know which one is meant: for a
// link that is the link itself, and a device is not started. The extended
// attributes have no calls for such a descriptor, but take its name in /proc.
func OpenPath(dirfd int, base string) (int, error) {
	fd, err := unix.Openat(dirfd, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	return fd, Wrap("open", err)
}

// XattrRecord begins the extended header records for them. The name is star(1)'s,
// and all tars have taken it over.
const XattrRecord = "SCHILY.xattr."

func (u *unpacker) setXattrs(dirfd int, base string, hdr *tar.Header) error {
	fd := -1
	for _, key := range slices.Sorted(maps.Keys(hdr.PAXRecords)) {
		name, is := strings.CutPrefix(key, XattrRecord)
		if !is || !OfImage(name) {
			continue
		}
		if fd < 0 {
			var err error
			if fd, err = OpenPath(dirfd, base); err != nil {
				return err
			}
			defer unix.Close(fd)
		}
		err := unix.Setxattr(inroot.FdPath(fd), name, []byte(hdr.PAXRecords[key]), 0)
		if errors.Is(err, unix.ENOTSUP) {
			if !u.warned {
				logrus.Warnf("layer entry %.200q: the file system of the store cannot keep the extended attribute %q: left out, and so are more like it", hdr.Name, name)
			}
			u.warned = true
			continue
		}
		if err != nil {
			return fmt.Errorf("set the extended attribute %.100q: %w", name, err)
		}
		u.inheritACL = u.inheritACL || name == "system.posix_acl_default"
	}
	return nil
}

// OfImage tells which extended attributes belong to an image. Overlayfs's own
// would let a layer point into other layers, or show parts of another file
// (overlayfs.rst, "Metadata only copy up"); SELinux's label is the host's.
func OfImage(xattr string) bool {
	return !strings.HasPrefix(xattr, OverlayXattrs) && !strings.HasPrefix(xattr, "user.overlay.") && xattr != "security.selinux"
}

// clearXattrs removes what an earlier entry set, or the parent's default ACL.
func clearXattrs(dirfd int, base string) error {
	fd, err := OpenPath(dirfd, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := ListXattrs(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !OfImage(name) {
			continue
		}
		if err := unix.Removexattr(inroot.FdPath(fd), name); err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("remove the extended attribute %q: %w", name, err)
		}
	}
	return nil
}

// ListXattrs returns the names of a file's extended attributes, sorted.
func ListXattrs(fd int) ([]string, error) {
	n, err := unix.Listxattr(inroot.FdPath(fd), nil) // nil: only ask for the size
	if err == nil && n == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	buffer := make([]byte, 64<<10) // XATTR_LIST_MAX
	if err == nil {
		n, err = unix.Listxattr(inroot.FdPath(fd), buffer)
	}
	if err != nil {
		return nil, Wrap("list extended attributes", err)
	}
	names := strings.FieldsFunc(string(buffer[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(names)
	return names, nil
}

// GetXattr returns the value of one.
func GetXattr(fd int, name string) (string, error) {
	buffer := make([]byte, 64<<10) // XATTR_SIZE_MAX
	n, err := unix.Getxattr(inroot.FdPath(fd), name, buffer)
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}
