package layer

import (
	"errors"
	"fmt"
	"os"

	"example.com/go-docker/day3-images/inroot"
	"example.com/go-docker/day3-images/xattr"
	"golang.org/x/sys/unix"
)

// Marks of our own begin as overlayfs's attributes do: it hides them, whether it
// knows them or not, and so no container sees them.
const (
	ImpliedMark = xattr.Overlay + "go-docker.implied"   // of a directory that has no entry
	NewMark     = xattr.Overlay + "go-docker.new"       // of one that has a whiteout, too
	LinkMark    = xattr.Overlay + "go-docker.hard-link" // of a symbolic link in the place of a hard link
	looseMark   = xattr.Overlay + "go-docker.loose"     // of a layer that has a directory with a mark
	TopMark     = xattr.Overlay + "go-docker.top"       // of a layer that has an entry for its top
)

func mark(dirfd int, base, name string) error {
	fd, err := xattr.Open(dirfd, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return xattr.Mark(fd, name)
}

// markImplied marks a directory that has just been made.
func (u *Unpacker) markImplied(base string, anew bool) error {
	u.loose++
	err := mark(u.parent.fd, base, ImpliedMark)
	if errors.Is(err, unix.ENOTSUP) { // the layer will be as if it were the lowest
		return nil
	}
	if err != nil || !anew {
		return err
	}
	return mark(u.parent.fd, base, NewMark)
}

// unmark says that a directory has an entry after all.
func (u *Unpacker) unmark(base string) error {
	if u.loose == 0 {
		return nil
	}
	fd, err := xattr.Open(u.parent.fd, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, name := range []string{ImpliedMark, NewMark} {
		err := unix.Removexattr(inroot.FdPath(fd), name)
		if err != nil && err != unix.ENODATA && err != unix.ENOTSUP {
			return fmt.Errorf("remove the extended attribute %q: %w", name, err)
		}
		if err == nil && name == ImpliedMark {
			u.loose--
		}
	}
	return nil
}

func marked(dir, name string) (bool, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return xattr.Marked(fd, name)
}

// IsLoose tells whether an unpacked layer has to be settled, see package chain.
// Implied directories are what they should be if no layer is below: the layer is
// the lowest.
func IsLoose(dir string, lowest bool) (bool, error) {
	loose, err := marked(dir, LinkMark)
	if err == nil && !loose && !lowest {
		loose, err = marked(dir, looseMark)
	}
	return loose, err
}

// markLoose marks a layer that is complete.
func (u *Unpacker) markLoose() error {
	if u.links {
		if err := mark(u.root, ".", LinkMark); err != nil {
			return err
		}
	}
	if u.loose == 0 {
		return nil
	}
	return mark(u.root, ".", looseMark)
}
