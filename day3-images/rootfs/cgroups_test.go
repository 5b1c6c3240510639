package rootfs

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/mountfd"
	"golang.org/x/sys/unix"
)

// Controllers of version 1 that share a hierarchy have one directory, and each
// has a link to it. What makes them read-only is the mount, not the cgroups, so
// plain directories will do.
func TestSharedHierarchy(t *testing.T) {
	testkit.NeedRoot(t)
	cpu, memory, rootDir := t.TempDir(), t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(cpu+"/cpu.shares", []byte("7"), 0o644), os.Chmod(cpu, 0o700), os.MkdirAll(rootDir+cgroupTop, 0o755)); err != nil {
		t.Fatal(err)
	}
	r := Root{Cgroups: Cgroups{Version: 1, Dirs: map[string]string{"cpuacct": cpu, "cpu": cpu, "memory": memory}}}
	mounted(t, rootDir, r.mountCgroups, func() error {
		for name, want := range map[string]uint32{"cpu,cpuacct": unix.S_IFDIR | 0o755, "memory": unix.S_IFDIR | 0o755, "cpu": unix.S_IFLNK | 0o777, "cpuacct": unix.S_IFLNK | 0o777} {
			var stat unix.Stat_t
			if err := unix.Lstat(rootDir+cgroupTop+"/"+name, &stat); err != nil || stat.Mode != want {
				t.Errorf("%s: mode %o, want %o; %v", name, stat.Mode, want, err)
			}
		}
		for _, name := range []string{"/x", "/memory/x", "/cpu/x"} {
			if err := unix.Mkdir(rootDir+cgroupTop+name, 0o755); err != unix.EROFS {
				t.Errorf("mkdir %s: %v", name, err)
			}
		}
		fd, err := unix.Open(rootDir+cgroupTop+"/cpuacct/cpu.shares", unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	})
}

// Version 2 has only one hierarchy.
func TestUnifiedHierarchy(t *testing.T) {
	testkit.NeedRoot(t)
	own, rootDir := t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(own+"/memory.max", []byte("7"), 0o644), os.MkdirAll(rootDir+cgroupTop, 0o755)); err != nil {
		t.Fatal(err)
	}
	r := Root{Cgroups: Cgroups{Version: 2, Dirs: map[string]string{"memory": own, "pids": own}}}
	mounted(t, rootDir, r.mountCgroups, func() error {
		if err := unix.Mkdir(rootDir+cgroupTop+"/x", 0o755); err != unix.EROFS {
			t.Errorf("mkdir: %v", err)
		}
		if entries, err := os.ReadDir(rootDir + cgroupTop); err != nil || len(entries) != 1 || entries[0].Name() != "memory.max" {
			t.Errorf("%v, %v", entries, err)
		}
		return nil
	})
}

// mounted calls look to check what mount has mounted in dir, in a mount
// namespace that nobody else sees.
func mounted(t *testing.T, dir string, mount func(mountfd.Tree) error, look func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread and its mounts end with this goroutine
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), MakeMountsPrivate())
		if err == nil {
			var tree mountfd.Tree
			if tree, err = mountfd.OpenTree(dir); err == nil {
				err = mount(tree)
				tree.Close()
			}
		}
		if err == nil {
			err = look()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
