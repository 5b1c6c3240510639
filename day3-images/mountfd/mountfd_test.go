package mountfd

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Renames and mounts elsewhere do not keep us from following a link with .. in
// it: openat2(2) gives up with EAGAIN, and we try again.
func TestPlaceWhileOthersRename(t *testing.T) {
	rename(t)
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir+"/a/b", 0o755), os.Symlink(strings.Repeat("../", 100)+"a/b", dir+"/a/link")); err != nil {
		t.Fatal(err)
	}
	root, err := OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for range 1000 {
		place, err := root.MountPoint("/a/link", true)
		if err != nil {
			t.Fatal(err)
		}
		place.Close()
	}
}

// rename renames something elsewhere until the test ends.
func rename(t *testing.T) {
	elsewhere := t.TempDir()
	stop := make(chan struct{})
	var renamer sync.WaitGroup
	t.Cleanup(func() {
		close(stop)
		renamer.Wait()
	})
	renamer.Go(func() {
		from, to := elsewhere+"/a", elsewhere+"/b"
		if err := os.Mkdir(from, 0o700); err != nil {
			t.Error(err)
		}
		for {
			select {
			case <-stop:
				return
			default:
				if err := os.Rename(from, to); err != nil {
					t.Error(err)
					return
				}
				from, to = to, from
			}
		}
	})
}

// If the root itself is exchanged for a link while a container starts, nothing
// is mounted elsewhere, because the mounts use descriptors. (This is
// CVE-2021-30465 by way of the store, which only root can enter anyway.)
//
// Naive code: mount(2) on filepath.Join(merged, target).
func TestRootIsADescriptor(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/root", 0o755), os.Symlink(outside, dir+"/link")); err != nil {
		t.Fatal(err)
	}
	root, err := OpenTree(dir + "/root")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := unix.Renameat2(unix.AT_FDCWD, dir+"/root", unix.AT_FDCWD, dir+"/link", unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/a/b", "/../../x", "/proc/1/root/x"} {
		place, err := root.Ensure(target, true)
		if err != nil {
			t.Fatal(err)
		}
		place.Close()
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("made outside: %v, %v", entries, err)
	}
	for _, made := range []string{"/a/b", "/x", "/proc/1/root/x"} {
		if _, err := os.Stat(dir + "/link" + made); err != nil {
			t.Errorf("made inside: %v", err)
		}
	}
}
