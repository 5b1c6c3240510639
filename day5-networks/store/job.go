package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"example.com/go-docker/day5-networks/inroot"
	"example.com/go-docker/day5-networks/lock"
)

// A Job is work in progress: a directory in the store's tmp that is locked as
// long as its owner is alive. One that can be locked is a leftover, and whoever
// finds it removes it.
//
// The name says what the job is for. Two commands that unpack the same layer
// need the same job, so the second one waits.
type Job struct {
	Dir  string
	lock *os.File
}

// Begin starts a job, waiting for any running job of the same name to end.
func (s *Store) Begin(ctx context.Context, name string) (*Job, error) {
	dir, err := lock.Dir(ctx, s.Path("tmp", name))
	if err != nil {
		return nil, fmt.Errorf("start work in the image store: %w", err)
	}
	return &Job{dir.Name(), dir}, nil
}

// BeginAdding starts the job of a command that adds or reads an image and so
// needs all blobs and layers to stay: while there is such a job, collect does
// nothing.
func (s *Store) BeginAdding(ctx context.Context) (*Job, error) {
	held, err := s.Lock()
	if err != nil {
		return nil, err
	}
	defer held.Close()
	if err := s.forgetUnfinished(); err != nil {
		return nil, err
	}
	return s.Begin(ctx, adding+rand.Text())
}

const adding = "add-"

// Path names a file in the job's directory.
func (j *Job) Path(name string) string { return filepath.Join(j.Dir, name) }

// End removes whatever the job has not moved to its place in the store.
func (j *Job) End() error {
	return errors.Join(inroot.RemoveAll(j.Dir), j.lock.Close())
}

// sweep removes the jobs of dead owners.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.Path("tmp"))
	if err != nil {
		return fmt.Errorf("open the image store: %w", err)
	}
	for _, e := range entries {
		if err := lock.RemoveLeftover(s.Path("tmp", e.Name())); err != nil {
			return fmt.Errorf("remove what a killed command left: %w", err)
		}
	}
	return nil
}
