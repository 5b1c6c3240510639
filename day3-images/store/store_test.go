package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/go-docker/day3-images/internal/testkit"
)

// openEmpty makes a store for one test.
func openEmpty(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func nothingInProgress(t testing.TB, s *Store) {
	t.Helper()
	if err := s.sweep(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(s.Path("tmp")); err != nil || len(entries) > 0 {
		t.Errorf("left in tmp: %v, %v", entries, err)
	}
}

func TestOpenStore(t *testing.T) {
	s := openEmpty(t)
	for _, dir := range append(storeDirs, ".", "blobs", "layers") {
		if info, err := os.Stat(s.Path(dir)); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
	if text, err := os.ReadFile(s.Path("oci-layout")); err != nil || string(text) != `{"imageLayoutVersion":"1.0.0"}`+"\n" {
		t.Errorf("oci-layout: %q, %v", text, err)
	}
	// Whatever a crash left out is made the next time.
	for _, gone := range []string{"oci-layout", "tmp", "blobs/sha256", "containers"} {
		if err := errors.Join(os.RemoveAll(s.Path(gone)), os.RemoveAll(s.Path("oci-layout"))); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(s.Root); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.Path(gone)); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenStoreAtOnce(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := Open(root); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// A directory with other things in it is not a store.
func TestOpenStoreElsewhere(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(home+"/thesis.txt", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{home, home + "/thesis.txt", "/", "/proc/x"} {
		if _, err := Open(root); err == nil {
			t.Errorf("%s became a store", root)
		}
	}
	entries, err := os.ReadDir(home)
	info, _ := os.Stat(home)
	if err != nil || len(entries) != 1 || info.Mode().Perm() != 0o755 {
		t.Errorf("now in the directory: %v, mode %v, %v", entries, info.Mode(), err)
	}
}

// A new disk is empty but for what mkfs makes on it.
func TestOpenStoreOnNewDisk(t *testing.T) {
	disk := t.TempDir()
	if err := os.Mkdir(disk+"/lost+found", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(disk); err != nil {
		t.Error(err)
	}
}

// An image can leave more levels than we may have files open, and nothing that
// is left may stop the next command.
func TestOpenStoreWithDeepLeftover(t *testing.T) {
	s := openEmpty(t)
	testkit.FewFiles(t)
	if err := os.MkdirAll(s.Path("tmp", "x", strings.Repeat("d/", 2*testkit.Few)), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Root); err != nil {
		t.Error(err)
	}
	j, err := s.Begin(t.Context(), "y")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(j.Path(strings.Repeat("d/", 2*testkit.Few)), 0o700), j.End()); err != nil {
		t.Error(err)
	}
	nothingInProgress(t, s)
}

// A job of the same name waits; a live one is not swept, a dead one is.
func TestJobs(t *testing.T) {
	s := openEmpty(t)
	first, err := s.Begin(t.Context(), "layer-x")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first.Path("half"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first.Path("half")); err != nil {
		t.Errorf("the work of a living command was swept: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*50*time.Millisecond)
	defer cancel()
	if _, err := s.Begin(ctx, "layer-x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two have the same job: %v", err)
	}
	began := make(chan error)
	go func() {
		second, err := s.Begin(t.Context(), "layer-x")
		if err == nil {
			_, err = os.Stat(second.Path("half"))
			if errors.Is(err, fs.ErrNotExist) {
				err = second.End()
			}
		}
		began <- err
	}()
	time.Sleep(2 * 50 * time.Millisecond)
	if err := first.End(); err != nil {
		t.Error(err)
	}
	if err := <-began; err != nil {
		t.Error(err)
	}
	nothingInProgress(t, s)

	// A dead owner's job is a directory that nobody has locked.
	for _, name := range []string{"layer-x", "add-1"} {
		if err := os.MkdirAll(s.Path("tmp", name, "some/thing"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	third, err := s.Begin(t.Context(), "layer-x")
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(third.Dir); err != nil || len(entries) > 0 {
		t.Errorf("a dead owner's work is in the new job: %v, %v", entries, err)
	}
	if err := s.sweep(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(s.Path("tmp")); err != nil || len(entries) != 1 || entries[0].Name() != "layer-x" {
		t.Errorf("jobs: %v, %v", entries, err)
	}
	if err := third.End(); err != nil {
		t.Error(err)
	}
	nothingInProgress(t, s)
}

// Many goroutines, one job, while others sweep: never two at once, and none is
// left waiting.
func TestJobsAtOnce(t *testing.T) {
	s := openEmpty(t)
	var workers, sweepers sync.WaitGroup
	var inside sync.Mutex
	done := make(chan struct{})
	for range 2 {
		sweepers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := s.sweep(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 8 {
		workers.Go(func() {
			for range 10 {
				j, err := s.Begin(t.Context(), "one")
				if err != nil {
					t.Error(err)
					return
				}
				if !inside.TryLock() {
					t.Error("two have the job")
					return
				}
				inside.Unlock()
				if err := j.End(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	close(done)
	sweepers.Wait()
	nothingInProgress(t, s)
}
