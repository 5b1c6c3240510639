package demo

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
)

// What another demo is using stays, and so does anything that is not ours.
func TestSweepsNothingElse(t *testing.T) {
	tmp := t.TempDir()
	running, err := begin(t.Context(), tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go-docker-step.12", "go-docker-0123456789abc", "go-docker-0123456789aB"} {
		if err := os.Mkdir(filepath.Join(tmp, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, "go-docker-0123456789ab"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(tmp, "go-docker-aaaaaaaaaaaa")
	if err := errors.Join(os.Mkdir(foreign, 0o755), os.Mkdir(filepath.Join(tmp, "go-docker-bbbbbbbbbbbb"), 0o755)); err != nil {
		t.Fatal(err)
	}
	testkit.NeedRoot(t) // to give one to another user
	if err := os.Chown(foreign, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	before := namesIn(t, tmp)
	second, err := begin(t.Context(), tmp)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(second.Name()), second.Close()); err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(before, func(name string) bool { return name == "go-docker-bbbbbbbbbbbb" })
	if after := namesIn(t, tmp); !slices.Equal(after, want) {
		t.Errorf("got  %q\nwant %q", after, want)
	}
	if err := errors.Join(os.RemoveAll(running.Name()), running.Close()); err != nil {
		t.Error(err)
	}
}

func namesIn(t *testing.T, tmp string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
