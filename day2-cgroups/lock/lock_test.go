package lock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// The descriptors below belong to one process, but flock(2) ties a lock to the
// open file and not to the process, so they still exclude each other.

func TestOwnerLivesUntilItCloses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	owner, err := Create(path, []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "content" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if _, err := Try(path); !errors.Is(err, ErrHeld) {
		t.Errorf("while the owner lives: %v", err)
	}
	if _, err := Create(path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	finder, err := Try(path)
	if err != nil {
		t.Fatalf("after its death: %v", err)
	}
	finder.Close()
}

func TestCreateLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if _, err := Create(filepath.Join(dir, "none", "record"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestLockOfARemovedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "job")
	if _, err := Try(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before it is made: %v", err)
	}
	for range 2 {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		late, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		owner, err := Try(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := TryFile(late); !errors.Is(err, ErrHeld) {
			t.Errorf("while the owner lives: %v", err)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		owner.Close()
		if err := TryFile(late); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the owner has removed it: %v", err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := TryFile(late); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after another has made it again: %v", err)
		}
		late.Close()
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoLockThroughASymbolicLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Try(link); err == nil {
		t.Error("locked what a symbolic link points to")
	}
}

func TestPoll(t *testing.T) {
	calls := 0
	err := Poll(context.Background(), func() (bool, error) { calls++; return calls == 3, nil })
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	failed := errors.New("failed")
	if err := Poll(context.Background(), func() (bool, error) { return false, failed }); !errors.Is(err, failed) {
		t.Errorf("the error of done: %v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(failed)
	if err := Poll(ctx, func() (bool, error) { return false, nil }); !errors.Is(err, failed) {
		t.Errorf("the cause of the end: %v", err)
	}
}
