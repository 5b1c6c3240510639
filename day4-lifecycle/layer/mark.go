package layer

import (
	"errors"

	"example.com/go-docker/day4-lifecycle/metadata"
	"golang.org/x/sys/unix"
)

// Marks of our own begin as overlayfs's attributes do: it hides them, whether it
// knows them or not, and so no container sees them. The value is Yes.
const (
	ImpliedMark = metadata.Overlay + "go-docker.implied"   // a directory without an entry; New: but with a whiteout
	LinkMark    = metadata.Overlay + "go-docker.hard-link" // a symbolic link in the place of a hard link
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
	if errors.Is(err, unix.ENOTSUP) { // the layer will be as if it were the lowest
		return nil
	}
	return err
}

// remark changes the mark of a directory, if it has one: 0 takes it away.
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

// markLoose marks a layer that is complete.
func (u *Unpacker) markLoose() (err error) {
	if u.links {
		err = metadata.Mark(u.root, ".", LinkMark, Yes)
	}
	if err == nil && u.implied > 0 {
		err = metadata.Mark(u.root, ".", LooseMark, Yes)
	}
	return err
}
