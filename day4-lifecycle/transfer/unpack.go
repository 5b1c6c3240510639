package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/inroot"
)

// unpack makes what is in an archive, below dir and nowhere else: no name leads
// out, nor does any link, whether from the archive or already there.
func unpack(r io.Reader, dir *os.File, o Options) error {
	in := tar.NewReader(r)
	var dirs []*tar.Header // their times are set last, because making files in them changes them
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if err := entry(dir, h, in, o); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
		if h.Typeflag == tar.TypeDir {
			dirs = append(dirs, h)
		}
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		parent, base, err := enter(dir, dirs[i].Name)
		if err == nil {
			err = errors.Join(setTime(parent, base, dirs[i]), unix.Close(parent))
		}
		if err != nil {
			return fmt.Errorf("%q: %w", dirs[i].Name, err)
		}
	}
	return nil
}

// enter opens the directory that a name is in. No part of its path may be a
// link.
func enter(dir *os.File, name string) (parent int, base string, err error) {
	clean := path.Clean(name)
	if path.IsAbs(clean) || !filepath.IsLocal(clean) || strings.ContainsRune(name, 0) {
		return -1, "", errors.New("the name leads out of where it belongs")
	}
	parent, err = inroot.Open(int(dir.Fd()), path.Dir(clean), unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if errors.Is(err, unix.ELOOP) {
		err = fmt.Errorf("there is a link in the way: %w", err)
	}
	return parent, path.Base(clean), err
}

func entry(dir *os.File, h *tar.Header, content io.Reader, o Options) error {
	parent, base, err := enter(dir, h.Name)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if h.Typeflag != tar.TypeDir {
		if err := makeRoom(parent, base); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return directory(parent, base, h, o)
	case tar.TypeReg:
		return regular(parent, base, h, content, o)
	case tar.TypeSymlink:
		err = unix.Symlinkat(h.Linkname, parent, base)
	case tar.TypeFifo:
		err = fifo(parent, base, mode(h, o))
	case tar.TypeLink:
		return link(dir, h.Linkname, parent, base)
	default:
		logrus.Warnf("%q is of kind %q: left out", h.Name, h.Typeflag)
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(setOwner(parent, base, h, o), setTime(parent, base, h))
}

// makeRoom removes the file whose name something is to get. A device stays: to
// replace the machine's /dev/null breaks whatever uses it.
func makeRoom(parent int, base string) error {
	var st unix.Stat_t
	err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch kind := st.Mode & unix.S_IFMT; {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	case kind == unix.S_IFDIR:
		return errors.New("there is a directory of this name, and this is not one")
	case kind == unix.S_IFCHR || kind == unix.S_IFBLK:
		return errors.New("there is a device of this name, and it stays: copy to a directory or a file")
	}
	if err = unix.Unlinkat(parent, base, 0); errors.Is(err, unix.ENOENT) {
		return nil // somebody else was faster
	}
	return err
}

func directory(parent int, base string, h *tar.Header, o Options) error {
	err := unix.Mkdirat(parent, base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		var st unix.Stat_t
		if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return errors.New("there is a file of this name, and this is a directory")
		}
		return nil // it keeps its owner and mode, as with docker cp
	}
	if err != nil {
		return err
	}
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return errors.Join(setOwner(parent, base, h, o), unix.Fchmod(fd, mode(h, o)))
}

func regular(parent int, base string, h *tar.Header, content io.Reader, o Options) error {
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), h.Name)
	_, err = io.Copy(file, content)
	if err == nil {
		err = setOwner(parent, base, h, o)
	}
	if err == nil { // after the owner, because chown(2) clears setuid
		err = unix.Fchmod(fd, mode(h, o))
	}
	return errors.Join(err, file.Close(), setTime(parent, base, h))
}

// fifo makes a FIFO with this mode, whatever the umask. Its name could by now
// be a link to another file, so fifo opens it before changing the mode.
func fifo(parent int, base string, mode uint32) error {
	if err := unix.Mknodat(parent, base, unix.S_IFIFO|0o600, 0); err != nil {
		return err
	}
	fd, err := unix.Openat(parent, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Chmod(inroot.FdPath(fd), mode), unix.Close(fd))
}

// link makes another name for a file that came earlier in the archive.
func link(dir *os.File, target string, parent int, base string) error {
	from, name, err := enter(dir, target)
	if err != nil {
		return fmt.Errorf("link to %q: %w", target, err)
	}
	defer unix.Close(from)
	return unix.Linkat(from, name, parent, base, 0)
}

// mode returns the mode of a new file. Without Archive its owner changes, so it
// loses setuid and setgid: it must not run as a user who never asked for that.
func mode(h *tar.Header, o Options) uint32 {
	if o.Archive {
		return uint32(h.Mode) & 0o7777
	}
	return uint32(h.Mode) & 0o1777
}

// setOwner gives a file to us or, with Archive, to its original owner.
func setOwner(parent int, base string, h *tar.Header, o Options) error {
	uid, gid := os.Geteuid(), os.Getegid()
	if o.Archive {
		uid, gid = h.Uid, h.Gid
	}
	return unix.Fchownat(parent, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

func setTime(parent int, base string, h *tar.Header) error {
	when := h.ModTime
	if when.IsZero() {
		when = time.Now()
	}
	t := unix.NsecToTimespec(when.UnixNano())
	return unix.UtimesNanoAt(parent, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
