// Package mountfd mounts by descriptor. The image decides what is in the
// container's root, so a path in it cannot be trusted: /proc may be a link to
// the host's /etc, or be changed into one between check and mount
// (CVE-2019-19921, CVE-2021-30465). So nothing is ever mounted on a path. A
// mount is first made detached, and its place is opened once, without leaving
// the root; then the one descriptor is moved onto the other. fsopen(2),
// open_tree(2), move_mount(2)
//
// Paths in errors are the host's unless the error says that they are in the
// container.
package mountfd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Harmless has the attributes for a mount without programs or devices.
const Harmless = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// New makes a file system that is not mounted anywhere yet. An option is
// "key=value".
func New(fsType string, attributes int, options ...string) (*os.File, error) {
	config, err := unix.Fsopen(fsType, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open a new %s: %w", fsType, err)
	}
	defer unix.Close(config)
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		if err := unix.FsconfigSetString(config, key, value); err != nil {
			return nil, fmt.Errorf("set %s of a new %s: %w", option, fsType, err)
		}
	}
	if err := unix.FsconfigCreate(config); err != nil {
		return nil, fmt.Errorf("create a new %s: %w", fsType, err)
	}
	mount, err := unix.Fsmount(config, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return nil, fmt.Errorf("mount a new %s: %w", fsType, err)
	}
	return os.NewFile(uintptr(mount), fsType), nil
}

// Clone makes a second mount of path on the host and of everything mounted
// below it: a bind mount that is not attached anywhere yet. The attributes are
// added to theirs.
func Clone(path string, attributes uint64) (*os.File, error) {
	const flags = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, flags)
	if err != nil {
		return nil, &fs.PathError{Op: "open_tree", Path: path, Err: err}
	}
	mount := os.NewFile(uintptr(fd), path)
	if err := SetAttributes(mount, attributes); err != nil {
		return nil, errors.Join(err, mount.Close())
	}
	return mount, nil
}

// SetAttributes changes a mount and all mounts below it. mount_setattr(2)
func SetAttributes(mount *os.File, attributes uint64) error {
	const flags = unix.AT_EMPTY_PATH | unix.AT_RECURSIVE
	err := unix.MountSetattr(int(mount.Fd()), "", flags, &unix.MountAttr{Attr_set: attributes})
	if err != nil {
		return &fs.PathError{Op: "mount_setattr", Path: mount.Name(), Err: err}
	}
	return nil
}

// Attach moves a mount to its place in the container.
func Attach(mount, place *os.File) error {
	const flags = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	if err := unix.MoveMount(int(mount.Fd()), "", int(place.Fd()), "", flags); err != nil {
		return fmt.Errorf("mount %s on %s in the container: %w", mount.Name(), place.Name(), err)
	}
	return nil
}
