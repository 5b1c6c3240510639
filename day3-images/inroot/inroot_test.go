package inroot

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"testing"

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
