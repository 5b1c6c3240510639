package archive

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
func Write(name string, write func(io.Writer) error) error {
	if name == "" || name == "-" {
		if term.IsTerminal(os.Stdout.Fd()) {
			return errors.New("a tar does not belong on a terminal: use -o FILE, or a pipe")
		}
		return write(os.Stdout)
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // a pipe, /dev/null
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(file), file.Close())
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".")
	if err != nil {
		return &fs.PathError{Op: "create", Path: name, Err: errors.Unwrap(err)}
	}
	err = errors.Join(write(file), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	var failed *fs.PathError
	if errors.As(err, &failed) && failed.Path == file.Name() {
		failed.Path = name // the one that the user knows
	}
	return err
}
