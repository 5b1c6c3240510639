package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/store"
)

// begin makes a demo's directory, which is locked as long as the demo
// lives: what a killed demo has left, the next one removes.
func begin(tmp string) (id string, locked *os.File, err error) {
	const prefix = "go-docker-"
	dirs, err := filepath.Glob(filepath.Join(tmp, prefix+strings.Repeat("[0-9a-f]", 12)))
	if err != nil {
		return "", nil, err
	}
	for _, dir := range dirs {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
			continue // in /tmp anybody may use this name
		}
		if err := removeLeftover(dir); err != nil {
			return "", nil, fmt.Errorf("remove what a killed demo left: %w", err)
		}
	}
	for {
		id = container.NewID()
		dir := filepath.Join(tmp, prefix+id)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", nil, err
		}
		locked, err := lock.Try(dir)
		if errors.Is(err, lock.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
			continue // another demo has locked, and so removed, what we have just made
		}
		return id, locked, err
	}
}

// removeLeftover removes a dead demo's directory, and the containers in it,
// which have outlived it.
func removeLeftover(dir string) error {
	locked, err := lock.Try(dir)
	if errors.Is(err, lock.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "store", "oci-layout")); err == nil {
		s, err := store.Open(filepath.Join(dir, "store"))
		if err == nil {
			err = removeAll(s)
		}
		if err != nil {
			return errors.Join(err, locked.Close())
		}
	}
	return errors.Join(os.RemoveAll(dir), locked.Close())
}
