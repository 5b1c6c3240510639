package layer

import (
	"errors"
	"fmt"
	"path"

	"example.com/go-docker/day4-lifecycle/metadata"
	"golang.org/x/sys/unix"
)

// HardLink gives another name to a file of this layer. A file of a layer below
// is out of reach, and on overlayfs it would not be the same file anyway. But
// the target's name may lead through a symbolic link in a layer below to a file
// of this one; a marked symbolic link then stands in for the hard link until
// that layer is known.
func (u *Unpacker) HardLink(target, base string) error {
	target, err := entryName(target)
	if err != nil {
		return err
	}
	var st, old unix.Stat_t
	from, err := openInRoot(u.root, path.Dir(target))
	loose := u.Inherit == nil && (u.implied > 0 || errors.Is(err, unix.ENOENT))
	if err == nil {
		defer unix.Close(from)
		err = unix.Fstatat(from, path.Base(target), &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	switch {
	case err != nil && loose:
		u.links = true
		err = u.create(base, func() error { return unix.Symlinkat("/"+target, u.parent.fd, base) })
		if err == nil {
			err = metadata.Mark(u.parent.fd, base, LinkMark, Yes)
		}
		return err
	case err != nil:
		return fmt.Errorf("not in this layer, or only after the link: %w", err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR || IsWhiteout(&st):
		return errors.New("not a file")
	}
	err = unix.Fstatat(u.parent.fd, base, &old, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && old.Dev == st.Dev && old.Ino == st.Ino {
		return nil // removing the old file would remove the target
	}
	return u.Link(from, path.Base(target), base)
}

// Link also gives the file called name in the directory from the name base,
// replacing whatever has that name now.
func (u *Unpacker) Link(from int, name, base string) error {
	return u.create(base, func() error { return unix.Linkat(from, name, u.parent.fd, base, 0) })
}
