// Package metadata gives a file the owner, mode, times and extended attributes
// of its tar entry, and fills in an entry from a file. Files are given as
// descriptors, or as a single name in a directory's descriptor, never as paths.
//
// It grew from rung 10-commit, adds extended attributes and ACLs, and does not
// depend on the umask.
package metadata

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/go-docker/day5-networks/inroot"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Of returns the tar header, without name and kind, of the file that fd and st
// belong to.
func Of(fd int, st *unix.Stat_t) (*tar.Header, error) {
	records, err := records(fd)
	return &tar.Header{
		Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime:    time.Unix(st.Mtim.Unix()),
		PAXRecords: records,
		Format:     tar.FormatPAX, // for nanoseconds, long names and extended attributes
	}, err
}

// A Setter sets the metadata of the files in one tree.
type Setter struct {
	inheritACL bool // a directory has a default ACL, acl(5)
	warn       sync.Once
}

// Set gives a file its owner, mode, extended attributes and times, in this
// order, because chown(2) clears setuid and capabilities; and it always sets
// the mode, because the one given when the file is made is subject to our
// umask. A file that existed before may already have attributes.
func (s *Setter) Set(dirfd int, base string, hdr *tar.Header, existed bool) error {
	const nobody = 1<<32 - 1 // -1: chown(2) would leave the owner as it is
	if hdr.Uid < 0 || hdr.Uid >= nobody || hdr.Gid < 0 || hdr.Gid >= nobody {
		return fmt.Errorf("no user or group has the number %d:%d", hdr.Uid, hdr.Gid)
	}
	if err := unix.Fchownat(dirfd, base, hdr.Uid, hdr.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("change the owner to %d:%d: %w", hdr.Uid, hdr.Gid, err)
	}
	if existed || s.inheritACL {
		if err := clearAttributes(dirfd, base); err != nil {
			return err
		}
	}
	if hdr.Typeflag != tar.TypeSymlink { // a link has no mode, and fchmodat would follow it
		if err := unix.Fchmodat(dirfd, base, uint32(hdr.Mode&0o7777), 0); err != nil {
			return fmt.Errorf("change the mode to %o: %w", hdr.Mode&0o7777, err)
		}
	}
	if err := s.setAttributes(dirfd, base, hdr); err != nil {
		return err
	}
	modified, err := unix.TimeToTimespec(hdr.ModTime)
	if err != nil {
		return fmt.Errorf("a time out of range: %w", err)
	}
	times := []unix.Timespec{modified, modified}
	if err := unix.UtimesNanoAt(dirfd, base, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set the times: %w", err)
	}
	return nil
}

const (
	// Overlay is the prefix of overlayfs's own attributes, which it hides.
	Overlay = "trusted.overlay."

	// record is the prefix of an attribute's extended header record in a tar.
	// It comes from star(1), and all tars have adopted it.
	record = "SCHILY.xattr."
)

// Open opens a file of any kind with O_PATH: a link is not followed, and a
// device is not activated. The calls for extended attributes do not take such a
// descriptor, but they take its path in /proc.
func Open(dirfd int, base string) (int, error) {
	fd, err := unix.Openat(dirfd, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		err = fmt.Errorf("open: %w", err)
	}
	return fd, err
}

// ofImage reports whether an extended attribute belongs to an image.
// Overlayfs's own would let a layer point into other layers, or show parts of
// another file (overlayfs.rst, "Metadata only copy up"); SELinux's label is the
// host's.
func ofImage(name string) bool {
	return !strings.HasPrefix(name, Overlay) && !strings.HasPrefix(name, "user.overlay.") && name != "security.selinux"
}

// records returns a file's attributes as records of a tar entry.
func records(fd int) (map[string]string, error) {
	names, err := list(fd)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, name := range names {
		var value [64 << 10]byte // XATTR_SIZE_MAX
		n, err := unix.Getxattr(inroot.FdPath(fd), name, value[:])
		if err != nil {
			return nil, fmt.Errorf("read the extended attribute %q: %w", name, err)
		}
		all[record+name] = string(value[:n])
	}
	return all, nil
}

func (s *Setter) setAttributes(dirfd int, base string, hdr *tar.Header) error {
	for _, key := range slices.Sorted(maps.Keys(hdr.PAXRecords)) {
		name, is := strings.CutPrefix(key, record)
		if !is || !ofImage(name) {
			continue
		}
		err := unix.Lsetxattr(at(dirfd, base), name, []byte(hdr.PAXRecords[key]), 0)
		noFile := hdr.Typeflag != tar.TypeReg && hdr.Typeflag != tar.TypeDir && strings.HasPrefix(name, "user.") // xattr(7)
		if errors.Is(err, unix.ENOTSUP) || noFile && errors.Is(err, unix.EPERM) {
			s.warn.Do(func() {
				logrus.Warnf("layer entry %.200q: this kind of file, or the file system of the store, cannot have the extended attribute %q: left out, as are others like it", hdr.Name, name)
			})
			continue
		}
		if err != nil {
			return fmt.Errorf("set the extended attribute %.100q: %w", name, err)
		}
		s.inheritACL = s.inheritACL || name == "system.posix_acl_default"
	}
	return nil
}

// clearAttributes removes attributes that an earlier entry or the parent's
// default ACL has set.
func clearAttributes(dirfd int, base string) error {
	fd, err := Open(dirfd, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := list(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := unix.Removexattr(inroot.FdPath(fd), name); err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("remove the extended attribute %q: %w", name, err)
		}
	}
	return nil
}

// list returns the names of a file's attributes that belong to an image.
func list(fd int) ([]string, error) {
	var buffer [64 << 10]byte // XATTR_LIST_MAX
	n, err := unix.Listxattr(inroot.FdPath(fd), buffer[:])
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	names := strings.FieldsFunc(string(buffer[:n]), func(r rune) bool { return r == 0 })
	return slices.DeleteFunc(names, func(name string) bool { return !ofImage(name) }), nil
}

// at returns a path for calls that take only paths, such as lsetxattr(2). They
// must be those that do not follow a link.
func at(dirfd int, base string) string {
	if dirfd == unix.AT_FDCWD {
		return base
	}
	return inroot.FdPath(dirfd) + "/" + base
}

// Mark sets an attribute of one letter, like overlayfs's own. Value 0 removes
// it.
func Mark(dirfd int, base, name string, value byte) (err error) {
	if value == 0 {
		err = unix.Lremovexattr(at(dirfd, base), name)
	} else {
		err = unix.Lsetxattr(at(dirfd, base), name, []byte{value}, 0)
	}
	if err != nil {
		return fmt.Errorf("set the extended attribute %q: %w", name, err)
	}
	return nil
}

// MarkOf returns the letter, or 0 if the file has no such attribute or a longer
// one.
func MarkOf(dirfd int, base, name string) (byte, error) {
	var value [1]byte // stays 0 if the attribute is empty
	_, err := unix.Lgetxattr(at(dirfd, base), name, value[:])
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ERANGE) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the extended attribute %q: %w", name, err)
	}
	return value[0], nil
}
