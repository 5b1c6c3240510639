package layer

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// hardLink gives another name to a file of this layer. A file of a layer below
// is out of reach, and on overlayfs it would not be the same file anyway.
func (u *Unpacker) hardLink(target, base string) error {
	target, err := entryName(target)
	if err != nil {
		return err
	}
	var st, old unix.Stat_t
	from, err := openInRoot(u.root, path.Dir(target))
	if err == nil {
		defer unix.Close(from)
		err = unix.Fstatat(from, path.Base(target), &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	switch {
	case err != nil:
		return fmt.Errorf("not in this layer, or only after the link: %w", err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR || IsWhiteout(&st):
		return errors.New("not a file")
	}
	err = unix.Fstatat(u.parent.fd, base, &old, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && old.Dev == st.Dev && old.Ino == st.Ino {
		return nil // removing the old one would remove the target
	}
	return u.Link(from, path.Base(target), base)
}

// Link gives the file called name in the directory from the name base too, in
// the place of what has it now.
func (u *Unpacker) Link(from int, name, base string) error {
	return u.create(base, func() error { return unix.Linkat(from, name, u.parent.fd, base, 0) })
}
