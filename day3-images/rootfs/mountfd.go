package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// The image decides what lies in the container's root, so a path in it is not
// to be trusted: /proc may be a link to the host's /etc, and between looking
// and mounting somebody may change it (CVE-2019-19921, CVE-2021-30465). So we
// never mount on a path. A mount is made first, attached to nothing, and its
// place is opened once, below the root and not a step beyond; then the one
// descriptor is moved onto the other. fsopen(2), open_tree(2), move_mount(2)

// newMount makes a file system that is mounted nowhere yet. An option is
// "key=value" or "key".
func newMount(fsType string, attributes int, options ...string) (*os.File, error) {
	config, err := unix.Fsopen(fsType, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open a new %s: %w", fsType, err)
	}
	defer unix.Close(config)
	for _, option := range options {
		key, value, hasValue := strings.Cut(option, "=")
		if hasValue {
			err = unix.FsconfigSetString(config, key, value)
		} else {
			err = unix.FsconfigSetFlag(config, key)
		}
		if err != nil {
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

// cloneMount makes a second mount of what is at path on the host, with
// everything mounted below it: a bind mount that is nowhere yet.
func cloneMount(path string) (*os.File, error) {
	const flags = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE
	mount, err := unix.OpenTree(unix.AT_FDCWD, path, flags)
	if err != nil {
		return nil, &fs.PathError{Op: "open_tree", Path: path, Err: err}
	}
	return os.NewFile(uintptr(mount), path), nil
}

// setAttributes changes a mount and all below it. mount_setattr(2)
func setAttributes(mount *os.File, attributes uint64) error {
	const flags = unix.AT_EMPTY_PATH | unix.AT_RECURSIVE
	err := unix.MountSetattr(int(mount.Fd()), "", flags, &unix.MountAttr{Attr_set: attributes})
	if err != nil {
		return &fs.PathError{Op: "mount_setattr", Path: mount.Name(), Err: err}
	}
	return nil
}

// A rootDir is the container's root while it is still a directory of the host.
type rootDir struct{ *os.File }

func openRoot(dir string) (rootDir, error) {
	file, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	return rootDir{file}, err
}

// resolve opens what is at path in the container, as the container will see
// it: links are followed, but the root is the container's root. openat2(2)
func (r rootDir) resolve(path string, extra uint64) (*os.File, error) {
	fd, err := openat2(int(r.Fd()), path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | extra,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open in the container", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// make opens what is at target in the container, and makes it when it is not
// there: directories down to it and, if it is to be a file, an empty one.
func (r rootDir) make(target string, isDir bool) (*os.File, error) {
	const maxLinks = 40 // the kernel's, path_resolution(7)
	for range maxLinks {
		file, err := r.resolve(target, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
		above, name := path.Split(path.Clean("/" + target))
		parent, err := r.make(above, true)
		if err != nil {
			return nil, err
		}
		link, err := readlink(int(parent.Fd()), name)
		if err == nil { // it leads to what is not there: make that
			target = link
			if !path.IsAbs(link) {
				target = path.Join(above, link)
			}
			parent.Close()
			continue
		}
		if isDir {
			err = unix.Mkdirat(int(parent.Fd()), name, 0o755)
		} else {
			err = unix.Mknodat(int(parent.Fd()), name, unix.S_IFREG|0o644, 0)
		}
		parent.Close()
		if err != nil && err != unix.EEXIST {
			return nil, &fs.PathError{Op: "make in the container", Path: target, Err: err}
		}
	}
	return nil, &fs.PathError{Op: "make in the container", Path: target, Err: unix.ELOOP}
}

// place is make for a mount. On the root itself, where a link of the image may
// lead, there is no place for one: pivot would go below it.
func (r rootDir) place(target string, isDir bool) (*os.File, error) {
	place, err := r.make(target, isDir)
	if err != nil {
		return nil, err
	}
	root, err1 := r.Stat()
	at, err2 := place.Stat()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if os.SameFile(root, at) {
		return nil, fmt.Errorf("%s is the container's root: nothing can be mounted there", target)
	}
	return place, nil
}

// attach moves a mount to its place and closes both descriptors.
func attach(mount, place *os.File) error {
	defer mount.Close()
	defer place.Close()
	const flags = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	if err := unix.MoveMount(int(mount.Fd()), "", int(place.Fd()), "", flags); err != nil {
		return fmt.Errorf("mount %s on %s in the container: %w", mount.Name(), place.Name(), err)
	}
	return nil
}

func isDir(file *os.File) (bool, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return false, &fs.PathError{Op: "stat", Path: file.Name(), Err: err}
	}
	return stat.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}
