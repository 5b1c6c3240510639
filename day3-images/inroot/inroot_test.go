package inroot

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
	"golang.org/x/sys/unix"
)

func root(t *testing.T) (dir string, fd int) {
	dir = t.TempDir()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return dir, fd
}

func mkdir(parent int, name string, _ bool) error {
	err := unix.Mkdirat(parent, path.Base(name), 0o755)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

func TestMakeStaysInside(t *testing.T) {
	for _, c := range []struct{ link, target, name, want string }{
		{"", "", "a/b/c", "a/b/c"},
		{"", "", "/a//./b/", "a/b"},
		{"", "", "../../a", "a"},
		{"l", "/etc", "l/x", "etc/x"},
		{"l", "../../../etc", "l/x", "etc/x"},
		{"l", "a/..", "l/x", "x"},
		{"l", "/", "l/x", "x"},
		{"l", "a/b", "l/../x", "a/x"},
	} {
		dir, fd := root(t)
		if c.link != "" {
			if err := os.Symlink(c.target, filepath.Join(dir, c.link)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Make(fd, c.name, mkdir)
		if err != nil || got != c.want {
			t.Errorf("%+v: got %q, %v", c, got, err)
		}
		if info, err := os.Lstat(filepath.Join(dir, c.want)); err != nil || !info.IsDir() {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestMakeEndsInALoop(t *testing.T) {
	dir, fd := root(t)
	for from, to := range map[string]string{"a": "b", "b": "a"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Make(fd, "a/x", mkdir); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a loop of links: %v", err)
	}
}

func TestMakeSaysWhatIsLast(t *testing.T) {
	_, fd := root(t)
	var last []string
	_, err := Make(fd, "a/b/c", func(parent int, name string, is bool) error {
		if is {
			last = append(last, name)
		}
		return mkdir(parent, name, is)
	})
	if err != nil || len(last) != 1 || last[0] != "a/b/c" {
		t.Errorf("last: %q, %v", last, err)
	}
}

func TestOpenStaysInside(t *testing.T) {
	dir, fd := root(t)
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "abs")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/etc", "abs", "../../etc", "etc/../../etc"} {
		got, err := Open(fd, name, unix.O_PATH, 0)
		if err != nil {
			t.Fatal(err)
		}
		if link, err := os.Readlink(FdPath(got)); err != nil || link != filepath.Join(dir, "etc") {
			t.Errorf("%s leads to %s, %v", name, link, err)
		}
		unix.Close(got)
	}
	if _, err := Open(fd, "abs", unix.O_PATH, unix.RESOLVE_NO_SYMLINKS); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link with RESOLVE_NO_SYMLINKS: %v", err)
	}
}

// A tree may have more levels than we may have files open. What links in it
// lead to stays.
func TestRemoveAll(t *testing.T) {
	outside := t.TempDir()
	if err := os.Mkdir(outside+"/canary", 0o700); err != nil {
		t.Fatal(err)
	}
	testkit.FewFiles(t)
	tree := func() string {
		dir := filepath.Join(t.TempDir(), "tree")
		err := os.MkdirAll(dir, 0o700)
		for _, branch := range []string{"a", "b\xff", "c"} {
			deep := filepath.Join(dir, branch, strings.Repeat("/d", 2*testkit.Few))
			err = errors.Join(err, os.MkdirAll(filepath.Join(deep, "empty"), 0o700), os.Symlink(outside, deep+"/link"),
				os.Symlink(outside, filepath.Join(deep, "../link")), os.WriteFile(deep+"/file", nil, 0o600), unix.Mkfifo(deep+"/fifo", 0o600))
		}
		if err := errors.Join(err, os.Symlink(outside, dir+"/link")); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if err := os.RemoveAll(tree()); !errors.Is(err, unix.EMFILE) {
		t.Errorf("not too deep, so this test shows nothing: %v", err)
	}
	dir := tree()
	if err := RemoveAll(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Lstat(outside + "/canary"); err != nil {
		t.Errorf("outside: %v", err)
	}
	if err := RemoveAll(dir); err != nil {
		t.Errorf("what is not there: %v", err)
	}
}
