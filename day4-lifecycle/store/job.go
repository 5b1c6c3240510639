package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Job is work in progress: a directory in the store's tmp that stays locked,
// flock(2), for as long as its owner lives. The kernel drops the lock when the
// owner dies, even of SIGKILL: so a directory that can be locked is a leftover,
// and whoever finds it removes it.
//
// The name says what the job is for. Two commands that want to unpack the same
// layer want the same job, and the second one waits.
type Job struct {
	Dir  string
	lock *os.File
}

// retryLock is how often a command that waits for another one's job looks.
const retryLock = 50 * time.Millisecond

// Begin starts a job, after the one of the same name that is under way.
func (s *Store) Begin(ctx context.Context, name string) (*Job, error) {
	for {
		j, err := s.tryBegin(name)
		if j != nil || err != nil {
			return j, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(retryLock):
		}
	}
}

// BeginAdding starts the job that every command has which adds an image. As
// long as one is there nothing is collected: blobs that no image refers to may
// be those of its image. See collect.
func (s *Store) BeginAdding(ctx context.Context) (*Job, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.forgetUnfinished(); err != nil {
		return nil, err
	}
	return s.Begin(ctx, "add-"+rand.Text())
}

// tryBegin returns no job when another owner has it.
func (s *Store) tryBegin(name string) (*Job, error) {
	dir := s.Path("tmp", name)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("start work in the image store: %w", err)
	}
	j, err := LockJob(dir)
	if j == nil || err != nil {
		return nil, err
	}
	if err := j.empty(); err != nil { // what a dead owner left
		return nil, errors.Join(err, j.lock.Close())
	}
	return j, nil
}

// LockJob locks the directory dir, or returns nil if that cannot be done now.
func LockJob(dir string) (*Job, error) {
	lock, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil, lock.Close()
	}
	// Its owner may have removed it between our open and our lock, and another
	// one may have made it again: then we hold the lock of nothing.
	locked, err1 := lock.Stat()
	named, err2 := os.Lstat(dir)
	if err1 != nil || err2 != nil || !os.SameFile(locked, named) {
		return nil, lock.Close()
	}
	return &Job{dir, lock}, nil
}

func (j *Job) Path(name string) string { return filepath.Join(j.Dir, name) }

func (j *Job) empty() error {
	entries, err := os.ReadDir(j.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(j.Path(e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// End removes what the job has not given a place in the store.
func (j *Job) End() error {
	return errors.Join(os.RemoveAll(j.Dir), j.lock.Close())
}

// RemoveLeftover removes a job's directory if its owner is dead.
func RemoveLeftover(dir string) error {
	j, err := LockJob(dir)
	if j == nil || err != nil {
		return err
	}
	return j.End()
}

// Sweep removes the jobs of dead owners.
func (s *Store) Sweep() error {
	entries, err := os.ReadDir(s.Path("tmp"))
	if err != nil {
		return fmt.Errorf("open the image store: %w", err)
	}
	for _, e := range entries {
		if err := RemoveLeftover(s.Path("tmp", e.Name())); err != nil {
			return fmt.Errorf("remove what a killed command left: %w", err)
		}
	}
	return nil
}

// jobs lists the names of the jobs under way that start with prefix.
func (s *Store) jobs(prefix string) ([]string, error) {
	if err := s.Sweep(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.Path("tmp"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
