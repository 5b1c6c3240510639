// Package transfer copies files into containers and out of them (cp, export).
// Either side may be hostile and may change while it is read: a container may
// put a link where a directory was, an archive may name ../../etc/passwd. So
// nothing is ever opened by a path on the host: each name is opened once, in
// the root or the directory that it belongs to, and links are copied, not
// followed.
//
// The ladder has no rung for it; it builds on day 3's 11-hostile.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/inroot"
	"example.com/go-docker/day5-networks/interrupt"
)

// Options say what to copy, and what to do with owners and modes.
type Options struct {
	Archive bool // keep owners, and setuid and setgid
	Follow  bool // copy the target of a source that is a link

	OneFilesystem bool // leave out what is in mount points
}

// A Place is a path in a root.
type Place struct {
	Root *os.File // a directory; "/" for the host's
	Path string
}

// content reports whether a source means a directory's content: DIR/.
func (p Place) content() bool { return p.Path == "." || strings.HasSuffix(p.Path, "/.") }

// name is what a copy of a source is called; "." if only its content is meant.
func (p Place) name() string {
	name := path.Base(path.Clean("/" + p.Path))
	if p.content() || name == "/" {
		return "."
	}
	return name
}

func (p Place) open(flags uint64) (*os.File, error) {
	fd, err := inroot.Open(int(p.Root.Fd()), p.Path, flags, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: p.Path, Err: err}
	}
	return os.NewFile(uintptr(fd), p.Path), nil
}

// look opens what may be a link, only to look at it: the link itself or, with follow
// or if a slash comes after it, what it leads to. path_resolution(7)
func (p Place) look(follow bool) (*os.File, error) {
	if follow {
		return p.open(unix.O_PATH)
	}
	return p.open(unix.O_PATH | unix.O_NOFOLLOW)
}

// Copy copies a file or a directory as docker cp does: into an existing
// directory, or to a new name in one. Once ctx has ended it fails with the cause, and
// what it has copied by then stays.
func Copy(ctx context.Context, from, to Place, o Options) error {
	dir, name, err := target(from, to, o)
	if err != nil {
		return err
	}
	defer dir.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	packed := make(chan error, 1)
	go func() { packed <- errors.Join(Pack(interrupt.Writer(ctx, w), from, name, o), w.Close()) }()
	err = unpack(r, dir, o)
	_ = r.Close() // ends the packer if we have failed
	if errPack := <-packed; errPack != nil && !errors.Is(errPack, unix.EPIPE) {
		err = errors.Join(errPack, err)
	}
	return err
}

// target decides where a copy goes: into which directory, and under which name;
// "." if it becomes that directory itself.
func target(from, to Place, o Options) (dir *os.File, name string, err error) {
	var source, there unix.Stat_t
	if err := stat(from, &source, o.Follow); err != nil {
		return nil, "", err
	}
	isDir := source.Mode&unix.S_IFMT == unix.S_IFDIR
	err = stat(to, &there, true)
	switch {
	case err == nil && there.Mode&unix.S_IFMT == unix.S_IFDIR:
		dir, err = to.open(unix.O_PATH | unix.O_DIRECTORY)
		return dir, from.name(), err
	case err == nil && isDir:
		return nil, "", fmt.Errorf("cannot copy the directory %s over the file %s", from.Path, to.Path)
	case err == nil && strings.HasSuffix(to.Path, "/"):
		return nil, "", fmt.Errorf("%s: not a directory", to.Path)
	case errors.Is(err, unix.ENOENT) && strings.HasSuffix(to.Path, "/") && !isDir:
		return nil, "", fmt.Errorf("no such directory: %s", to.Path)
	case err != nil && !errors.Is(err, unix.ENOENT):
		return nil, "", err
	}
	clean := path.Clean(to.Path)
	if dir, err = (Place{to.Root, path.Dir(clean)}).open(unix.O_PATH | unix.O_DIRECTORY); err != nil {
		return nil, "", err
	}
	return dir, path.Base(clean), nil
}

func stat(p Place, st *unix.Stat_t, follow bool) error {
	file, err := p.look(follow)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.Fstat(int(file.Fd()), st)
}

// Unpack unpacks an archive below an existing directory.
func Unpack(r io.Reader, to Place, o Options) error {
	dir, err := to.open(unix.O_PATH | unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unpack(r, dir, o)
}
