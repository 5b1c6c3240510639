package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// On a disk without a free byte, or without a free inode, rmi frees some.
func TestRemoveOnFullDisk(t *testing.T) {
	kernelTest(t)
	for name, options := range map[string]string{"bytes": "size=8m", "inodes": "size=100m,nr_inodes=600"} {
		t.Run(name, func(t *testing.T) {
			disk := t.TempDir()
			if err := unix.Mount("full", disk, "tmpfs", 0, options); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(disk, 0); err != nil {
					t.Error(err)
				}
			})
			s := openTestStore(t, filepath.Join(disk, "store"))
			base := madeImage(t, s, nil, "base:1", "base", strings.Repeat("x", 100<<10))
			madeImage(t, s, base, "app:1", "app", strings.Repeat("y", 100<<10))
			ok(t, s, "tag", "app:1", "app:2")
			fill(t, disk, name)
			refused(t, s, "no space left on device", "import", smallRoot(t))
			refused(t, s, disk+"/saved.tar: no space left on device", "save", "-o", disk+"/saved.tar", "app:1")
			for _, c := range []struct{ ref, want string }{
				{"app:2", "Untagged: app:2\n"},
				{"app:1", "Untagged: app:1\nDeleted: "},
				{"base:1", "Untagged: base:1\nDeleted: "},
			} {
				if got := ok(t, s, "rmi", c.ref); !strings.HasPrefix(got, c.want) {
					t.Errorf("rmi %s printed %q", c.ref, got)
				}
			}
			makeRoom(t, disk)
			madeImage(t, s, nil, "last:1", "last", "x")
			// If there is no old file to write to, nothing is done and nothing
			// printed.
			if err := os.Remove(s.Path("index.json.new")); err != nil {
				t.Fatal(err)
			}
			fill(t, disk, name)
			refused(t, s, "no space left on device", "rmi", "last:1")
			makeRoom(t, disk)
			ok(t, s, "rmi", "last:1")
			if left := contents(t, s); len(left) > 0 {
				t.Errorf("left %q", left)
			}
			madeImage(t, s, nil, "again", "again", "x") // there is room again
			sound(t, s)
		})
	}
}

// fill uses up all bytes or all inodes of a file system.
func fill(t *testing.T, disk, what string) {
	t.Helper()
	for n := 0; ; n++ {
		file, err := os.OpenFile(filepath.Join(disk, fmt.Sprint("full", n)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		for chunk := make([]byte, 4096); err == nil && what == "bytes"; {
			_, err = file.Write(chunk)
		}
		_ = file.Close()
		if errors.Is(err, unix.ENOSPC) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func makeRoom(t *testing.T, disk string) {
	t.Helper()
	for n := range 50 {
		if err := os.Remove(filepath.Join(disk, fmt.Sprint("full", n))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}
