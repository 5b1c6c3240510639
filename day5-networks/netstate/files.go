package netstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// notJSON tells whether the error of readJSON is one of what is in the file.
func notJSON(err error) bool {
	var syntax *json.SyntaxError
	return errors.As(err, &syntax)
}

// unfinished is the end of a name that a file has while it is written.
const unfinished = ".new"

// writeJSON gives a file its content, all of it or none. Only a network outlives
// a power cut, and is written to the disk; what else there is goes with the boot.
func writeJSON(path string, v any, durable bool) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path+unfinished, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil && durable {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(path+unfinished, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path+unfinished))
	}
	return nil
}

// Remove removes a record.
func (s Store) Remove(r *Record) error { return remove(s.file(r, r.pending)) }

// remove removes files; one that is not there is no error.
func remove(paths ...string) (errs error) {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}
