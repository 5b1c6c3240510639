package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"

	"example.com/go-docker/day3-images/metadata"
	"golang.org/x/sys/unix"
)

var errNoTarget = errors.New("which is not in this layer, or only after the link")

// HardLink gives another name to a file of this layer. A file of a layer below
// is out of reach, and on overlayfs it would not be the same file anyway. But
// the target's name may lead through a link of a layer below, to a file of this
// one: then a symbolic link with a mark takes the place of the hard link.
func (u *Unpacker) HardLink(hdr *tar.Header, base string) error {
	target, err := entryName(hdr.Linkname)
	if err == nil {
		err = u.link(target, base)
	}
	if errors.Is(err, errNoTarget) && u.Inherit == nil && u.isLoose(path.Dir(target)) {
		err = u.create(base, func() error { return unix.Symlinkat("/"+target, u.parent.fd, base) })
		u.links = true
		if err == nil {
			err = metadata.Mark(u.parent.fd, base, LinkMark, Yes)
		}
	}
	if err != nil {
		return fmt.Errorf("hard link to %.200q: %w", hdr.Linkname, err)
	}
	return nil // the owner, mode and times are the file's, which has them
}

func (u *Unpacker) link(target, base string) error {
	from, err := openInRoot(u.root, path.Dir(target))
	if err != nil {
		return fmt.Errorf("%w: %w", errNoTarget, err)
	}
	defer unix.Close(from)
	var st, old unix.Stat_t
	if err := unix.Fstatat(from, path.Base(target), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("%w: %w", errNoTarget, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR || IsWhiteout(&st) {
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

// isLoose tells whether a name in the directory may mean another one than we see.
func (u *Unpacker) isLoose(dir string) bool {
	fd, err := openInRoot(u.root, dir)
	if err == nil {
		unix.Close(fd)
	}
	return u.implied > 0 || err == unix.ENOENT
}
