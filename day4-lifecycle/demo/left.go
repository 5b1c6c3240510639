package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/lock"
	"example.com/go-docker/day4-lifecycle/store"
)

// begin makes a demo's directory, which stays locked as long as the demo is
// alive, and removes those of killed demos.
func begin(ctx context.Context, tmp string) (*os.File, error) {
	dirs, err := filepath.Glob(tmp + "/go-docker-" + strings.Repeat("[0-9a-f]", 12))
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
			continue // in /tmp anybody may use this name
		}
		if err := removeLeftover(dir); err != nil {
			return nil, fmt.Errorf("remove what a killed demo left: %w", err)
		}
	}
	return lock.Dir(ctx, filepath.Join(tmp, "go-docker-"+container.NewID()))
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
	s, err := store.Open(filepath.Join(dir, "store"))
	if err == nil {
		err = removeAll(s)
	}
	if err == nil {
		err = os.RemoveAll(dir)
	}
	return errors.Join(err, locked.Close())
}
