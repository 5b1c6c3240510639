package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountsStayInside(t *testing.T) {
	needRoot(t)
	needNamespaces(t)
	shareAllMounts(t)
	before := mountInfo(t)
	// In a mount namespace with a user namespace of its own, mounts are slaves
	// from the start; others leak unless something is done.
	for _, args := range [][]string{
		{"--mount", "--pid"},
		{"--mount", "--pid", "--init=false"},
		{"--mount", "--pid", "--user"},
		{},
	} {
		args = append(args, "sh", "-c", "echo /proc/[0-9]*; mount -t tmpfs tmpfs /tmp")
		if got := finish(t, inContainer(t, args...)); got.status != 0 {
			t.Errorf("run %q: %+v", args, got)
		}
		if changed := changedMounts(before, mountInfo(t)); len(changed) > 0 {
			t.Fatalf("run %q changed the host's mounts: %q", args, changed)
		}
	}

	// The control: a child that does nothing about it.
	dir := t.TempDir()
	naive := exec.Command("mount", "-t", "tmpfs", "tmpfs", dir)
	naive.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if got := finish(t, naive); got.status != 0 {
		t.Fatalf("mount: %+v", got)
	}
	if len(changedMounts(before, mountInfo(t))) == 0 {
		t.Fatal("its mount stayed inside, too: this test proves nothing here")
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Error(err)
	}
}

// shareAllMounts gives the test's thread, and whatever it starts, mounts of its
// own, and makes them shared as systemd does. It makes them private first, so
// that they are not shared with the machine's.
func shareAllMounts(t testing.TB) {
	t.Helper()
	runtime.LockOSThread() // never unlocked, so that the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|propagation, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func mountInfo(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
