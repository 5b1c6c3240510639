// Package lock makes locks that mean "the owner is alive": flock(2) on a file
// or a directory, held as long as some work goes on. The kernel drops the lock
// when its owner dies, even from SIGKILL. So anything that can be locked was
// left behind, and whoever finds it may remove it.
//
// The ladder has no rung for it, because none of its programs cleans up after
// another.
package lock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"example.com/go-docker/day5-networks/inroot"
	"golang.org/x/sys/unix"
)

// ErrHeld means that the owner of a lock is alive.
var ErrHeld = errors.New("locked by another process")

// Create makes a file that is complete and locked before anybody can see it,
// because it gets its name last, open(2) O_TMPFILE. The lock is held until the
// file is closed. An error that Is fs.ErrNotExist or fs.ErrPermission may mean
// that the directory has just been removed (ext4 says EPERM for that).
func Create(path string, content []byte) (_ *os.File, err error) {
	dir := filepath.Dir(path)
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &fs.PathError{Op: "make a file in", Path: dir, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if err := flock(file, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, err
	}
	if _, err := file.Write(content); err != nil {
		return nil, err
	}
	unnamed := fmt.Sprintf("/proc/self/fd/%d", fd)
	if err := unix.Linkat(unix.AT_FDCWD, unnamed, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW); err != nil {
		return nil, &fs.PathError{Op: "name", Path: path, Err: err}
	}
	return file, nil
}

// Try locks the file or directory at path without waiting. The error is ErrHeld
// while the owner is alive. The lock is held until the returned file is closed.
func Try(path string) (*os.File, error) {
	// flock(2) works on a read-only descriptor, and a directory has no other
	// kind.
	return locked(path, os.O_RDONLY|unix.O_NOFOLLOW, TryFile)
}

// Probe only looks whether the owner is alive. The error is ErrHeld while it is.
// All who look share the lock, so they neither hinder each other nor take each
// other for the owner. flock(2)
func Probe(path string) (*os.File, error) {
	return locked(path, os.O_RDONLY|unix.O_NOFOLLOW, func(file *os.File) error { return flock(file, unix.LOCK_SH|unix.LOCK_NB) })
}

// TryFile is Try for an open file. It returns an error that Is fs.ErrNotExist
// if the file no longer has its name: its owner removed it between our open and
// our lock, and somebody else may have made a new one.
func TryFile(file *os.File) error {
	if err := flock(file, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	locked, err1 := file.Stat()
	named, err2 := os.Lstat(file.Name())
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !os.SameFile(locked, named) {
		return &fs.PathError{Op: "lock", Path: file.Name(), Err: fs.ErrNotExist}
	}
	return nil
}

// Wait makes the file at path if it is missing, and locks it as soon as nobody
// else has it locked. The file must never be removed. The lock is held until
// the file is closed.
func Wait(path string) (*os.File, error) {
	return locked(path, os.O_CREATE|os.O_RDWR, func(file *os.File) error { return flock(file, unix.LOCK_EX) })
}

// locked opens a file or directory and locks it. After an error it is closed.
func locked(path string, flags int, lock func(*os.File) error) (*os.File, error) {
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Poll calls done until it returns true or an error, pausing a millisecond at
// first and 50 ms in the end. If ctx ends first, Poll returns its cause.
func Poll(ctx context.Context, done func() (bool, error)) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func flock(file *os.File, how int) error {
	err := error(unix.EINTR) // a signal came while flock waited
	for errors.Is(err, unix.EINTR) {
		err = unix.Flock(int(file.Fd()), how)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrHeld
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: file.Name(), Err: err}
	}
	return nil
}

// RemoveLeftover removes the directory at path if its owner is dead.
func RemoveLeftover(path string) error {
	file, err := Try(path)
	if errors.Is(err, ErrHeld) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(inroot.RemoveAll(path), file.Close())
}

// Dir makes a directory that is locked as long as its owner lives. What a dead
// owner left in its place it removes; while another has it, Dir waits.
func Dir(ctx context.Context, path string) (dir *os.File, err error) {
	err = Poll(ctx, func() (bool, error) {
		if err := RemoveLeftover(path); err != nil {
			return false, err
		}
		err := os.Mkdir(path, 0o700)
		if errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		dir, err = Try(path)
		if errors.Is(err, ErrHeld) || errors.Is(err, fs.ErrNotExist) {
			return false, nil // another took ours for a leftover
		}
		return true, err
	})
	return dir, err
}
