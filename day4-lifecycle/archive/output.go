package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/term"
)

// WriteOutput has write fill a file, or standard output for "" and "-". The
// file gets its name when it is complete: an error leaves what was there.
func WriteOutput(name string, write func(io.Writer) error) (err error) {
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
		return writeInPlace(name, write)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	err = write(file)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

func writeInPlace(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
