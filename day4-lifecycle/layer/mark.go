package layer

import (
	"errors"

	"example.com/go-docker/day4-lifecycle/metadata"
	"golang.org/x/sys/unix"
)

// Our own marks have the prefix of overlayfs's attributes. Overlayfs hides all
// of those, even ones it does not know, so no container sees them. The value is
// Yes.
const (
	ImpliedMark = metadata.Overlay + "go-docker.implied"   // a directory without an entry; New: with a whiteout
	LinkMark    = metadata.Overlay + "go-docker.hard-link" // a symbolic link that stands in for a hard link
	LooseMark   = metadata.Overlay + "go-docker.loose"     // a layer that has an implied directory
	TopMark     = metadata.Overlay + "go-docker.top"       // a layer that has an entry for its top

	Yes, New = 'y', 'n'
)

// markImplied marks a directory that has just been made.
func (u *Unpacker) markImplied(base string, anew bool) error {
	u.implied++
	value := byte(Yes)
	if anew {
		value = New
	}
	err := metadata.Mark(u.parent.fd, base, ImpliedMark, value)
	if errors.Is(err, unix.ENOTSUP) { // the layer is then treated as if it were the lowest
		return nil
	}
	return err
}

// remark changes a directory's mark, if it has one; 0 removes it.
func (u *Unpacker) remark(base string, value byte) error {
	if u.implied == 0 {
		return nil
	}
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
func (u *Unpacker) markLoose() (err error) {
	if u.links {
		err = metadata.Mark(u.root, ".", LinkMark, Yes)
	}
	if err == nil && u.implied > 0 {
		err = metadata.Mark(u.root, ".", LooseMark, Yes)
	}
	return err
}
