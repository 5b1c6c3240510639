package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/term"
)

// Open opens a file, or standard input for "-".
func Open(name string) (*os.File, error) {
	if name != "-" {
		return os.Open(name)
	}
	if term.IsTerminal(os.Stdin.Fd()) {
		return nil, errors.New("standard input is a terminal: name a file, or pipe one in")
	}
	return os.Stdin, nil
}

// Write calls write to fill a file, or standard output for "" and "-". The file
// gets its name only when it is complete, so an error leaves the old file
// alone.
func Write(name string, write func(io.Writer) error) (err error) {
	if name == "" || name == "-" {
		if term.IsTerminal(os.Stdout.Fd()) {
			return errors.New("a tar does not belong on a terminal: use -o FILE, or a pipe")
		}
		return write(os.Stdout)
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a directory: name a file in it", name)
	case err == nil && !info.Mode().IsRegular(): // a pipe, /dev/null
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(file), file.Close())
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".")
	defer func() { err = inName(err, name) }()
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}

// inName makes an error name the user's file instead of the temporary one
// beside it.
func inName(err error, name string) error {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &link):
		return &fs.PathError{Op: "write", Path: name, Err: link.Err}
	case errors.As(err, &file) && strings.HasPrefix(filepath.Base(file.Path), "."+filepath.Base(name)+"."):
		return &fs.PathError{Op: file.Op, Path: name, Err: file.Err}
	}
	return err
}
