// Package xattr reads and clears the extended attributes that belong to a file
// of an image. Files are known by descriptors, never by paths.
//
// From rung 10-commit, plus: which attributes are an image's.
package xattr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/go-docker/day3-images/inroot"
	"golang.org/x/sys/unix"
)

const (
	// Overlay begins the names of overlayfs's own attributes, which it hides.
	Overlay = "trusted.overlay."

	// Record begins the names of their extended header records in a tar. It is
	// star(1)'s, and all tars have taken it over.
	Record = "SCHILY.xattr."
)

// Open opens a file of any kind, only to know which one is meant: for a link
// that is the link itself, and a device is not started. The extended attributes
// have no calls for such a descriptor, but take its name in /proc.
func Open(dirfd int, base string) (int, error) {
	fd, err := unix.Openat(dirfd, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		err = fmt.Errorf("open: %w", err)
	}
	return fd, err
}

// OfImage tells which extended attributes belong to an image. Overlayfs's own
// would let a layer point into other layers, or show parts of another file
// (overlayfs.rst, "Metadata only copy up"); SELinux's label is the host's.
func OfImage(name string) bool {
	return !strings.HasPrefix(name, Overlay) && !strings.HasPrefix(name, "user.overlay.") && name != "security.selinux"
}

// Records returns a file's attributes as the records of a tar entry: nil if it
// has none.
func Records(fd int) (records map[string]string, err error) {
	names, err := List(fd)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !OfImage(name) {
			continue
		}
		value, err := Get(fd, name)
		if err != nil {
			return nil, fmt.Errorf("read the extended attribute %q: %w", name, err)
		}
		if records == nil {
			records = map[string]string{}
		}
		records[Record+name] = value
	}
	return records, nil
}

// Clear removes what an earlier entry set, or the parent's default ACL.
func Clear(dirfd int, base string) error {
	fd, err := Open(dirfd, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := List(fd)
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

// List returns the names of all of a file's attributes, sorted.
func List(fd int) ([]string, error) {
	n, err := unix.Listxattr(inroot.FdPath(fd), nil) // nil: only ask for the size
	if err == nil && n == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	buffer := make([]byte, 64<<10) // XATTR_LIST_MAX
	if err == nil {
		n, err = unix.Listxattr(inroot.FdPath(fd), buffer)
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	names := strings.FieldsFunc(string(buffer[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(names)
	return names, nil
}

// Get returns an attribute's value.
func Get(fd int, name string) (string, error) {
	buffer := make([]byte, 64<<10) // XATTR_SIZE_MAX
	n, err := unix.Getxattr(inroot.FdPath(fd), name, buffer)
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// Mark gives a file an attribute that says yes, as overlayfs's own do.
func Mark(fd int, name string) error {
	if err := unix.Setxattr(inroot.FdPath(fd), name, []byte("y"), 0); err != nil {
		return fmt.Errorf("set the extended attribute %q: %w", name, err)
	}
	return nil
}

// Marked tells whether a file has it.
func Marked(fd int, name string) (bool, error) {
	var value [1]byte
	n, err := unix.Getxattr(inroot.FdPath(fd), name, value[:])
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ERANGE) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the extended attribute %q: %w", name, err)
	}
	return n == 1 && value[0] == 'y', nil
}
