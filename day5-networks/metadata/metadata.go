// Package metadata gives a file the owner, mode, times and extended attributes
// of its tar entry, and fills in an entry from a file. Files are given as
// descriptors, or as a single name in a directory's descriptor, never as paths.
//
// It grew from rung 10-commit, adds extended attributes and ACLs, and does not
// depend on the umask.
package metadata

import (
	"archive/tar"
	"fmt"
	"time"

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
	warned     bool
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
