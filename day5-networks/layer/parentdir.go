package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"
	"time"

	"example.com/go-docker/day5-networks/inroot"
	"example.com/go-docker/day5-networks/metadata"
	"golang.org/x/sys/unix"
)

// Our own marks have the prefix of overlayfs's attributes. Overlayfs hides all
// of those, even ones it does not know, so no container sees them. The value is
// Yes, or what is said here.
const (
	ImpliedMark = metadata.Overlay + "go-docker.implied"   // a directory without an entry; New: with a whiteout
	LinkMark    = metadata.Overlay + "go-docker.hard-link" // a symbolic link for a hard link; a layer that has one
	LooseMark   = metadata.Overlay + "go-docker.loose"     // a layer that has an implied directory besides its top
	TopMark     = metadata.Overlay + "go-docker.top"       // a layer that has an entry for its top

	Yes, New = 'y', 'n'
)

// A parentDir is the directory of the last entry, which is usually also that of
// the next.
type parentDir struct {
	name  string           // "": none; the top is "."
	fd    int              // -1: none
	times [2]unix.Timespec // to be restored, because making something in it changes them
}

// Enter opens the directory for the next file, and makes it if it is missing.
func (u *Unpacker) Enter(dir string) error {
	if u.parent.name == dir {
		return nil
	}
	if err := u.leave(); err != nil {
		return err
	}
	fd, err := inroot.Open(u.root, dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		if err := u.makeParents(dir); err != nil {
			return err
		}
		if err := u.leave(); err != nil {
			return err
		}
		fd, err = inroot.Open(u.root, dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	}
	if err != nil {
		return fmt.Errorf("open its directory: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return Wrap("stat", err)
	}
	u.parent = parentDir{dir, fd, [2]unix.Timespec{st.Atim, st.Mtim}}
	return nil
}

// leave restores the times that a directory had before entries were made in it.
// So a directory's own entry may come before or after them, and nothing needs
// to be remembered until the end.
func (u *Unpacker) leave() error {
	p := u.parent
	u.parent = parentDir{fd: -1}
	if p.fd < 0 {
		return nil
	}
	defer unix.Close(p.fd)
	return Wrap("set the times of its directory", unix.UtimesNanoAt(p.fd, ".", p.times[:], 0))
}

// makeParents makes the directories above an entry that have no entry of their
// own, at least not yet. If a link on the way leads to a missing directory,
// that directory is made, too.
func (u *Unpacker) makeParents(dir string) error {
	_, err := inroot.Make(u.root, dir, func(_ int, name string, _ bool) error {
		if err := u.Enter(path.Dir(name)); err != nil {
			return err
		}
		return u.makeParent(name)
	})
	return Wrap("make its directory", err)
}

// makeParent makes an implied directory. Its metadata depends on the layers
// below, so it gets a mark and, as if there were none, mode 755 and root as its
// owner.
func (u *Unpacker) makeParent(name string) error {
	hdr := &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}
	if u.Inherit != nil { // before it exists
		if err := u.Inherit(name, hdr); err != nil {
			return err
		}
	}
	base := path.Base(name)
	made, err := u.makeDir(base, true)
	if err != nil || made == 0 {
		return err
	}
	if err := u.quota.takeEntry(); err != nil {
		return err
	}
	if u.Inherit == nil {
		u.implied++
		if err := metadata.Mark(u.parent.fd, base, ImpliedMark, made); err != nil {
			return err
		}
	}
	return u.set.Set(u.parent.fd, base, hdr, false)
}

// remark changes a directory's mark, if it has one; 0 removes it.
func (u *Unpacker) remark(base string, value byte) error {
	old, err := metadata.MarkOf(u.parent.fd, base, ImpliedMark)
	if err != nil || old == 0 {
		return err
	}
	if value == 0 {
		u.implied--
	}
	return metadata.Mark(u.parent.fd, base, ImpliedMark, value)
}

// markLoose marks a finished layer if it has to be settled.
func (u *Unpacker) markLoose() error {
	switch {
	case u.links:
		return metadata.Mark(u.root, ".", LinkMark, Yes)
	case u.implied > 0:
		return metadata.Mark(u.root, ".", LooseMark, Yes)
	}
	return nil
}
