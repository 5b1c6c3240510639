package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day2-cgroups/container"
)

// covered returns the program on a machine with some directories covered; see
// the payload.
func covered(t *testing.T, how string, dirs []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := program(t, append(append([]string{"payload", "cover", how}, append(dirs, "--")...), args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	return cmd
}

var bothWays = [][]string{{}, {"--format", "json"}, {"run", "true"}, {"run", "-m", "100m", "true"}}

func TestNoCgroups(t *testing.T) {
	kernelTest(t)
	for _, args := range bothWays {
		refuses(t, covered(t, "tmpfs", []string{"/sys/fs/cgroup"}, args...), container.RuntimeError, "no cgroup file system is mounted", "doctor")
	}
}

// An ordinary directory is in the controller's place. A program that trusts the
// path would make a directory in it and take that for a cgroup.
func TestPlainDirectory(t *testing.T) {
	kernelTest(t)
	version, controllers := controllersHere(t)
	mount := controllers["memory"].Mount
	for _, args := range bothWays {
		want := "memory controller"
		if version == 2 {
			want = "no cgroup" // with "file system" or "hierarchy" after it
		}
		refuses(t, covered(t, "tmpfs", []string{mount}, args...), container.RuntimeError, want)
	}
	if version == 1 {
		cpu := controllers["cpu"].Mount
		refuses(t, covered(t, "tmpfs", []string{cpu}, "run", "--cpus", "0.5", "true"), container.RuntimeError, "no cpu controller")
		// A controller that is not needed may be missing.
		finish(t, covered(t, "tmpfs", []string{cpu}, "run", "-m", "100m", "true")).want(t, "")
	}
}

func TestReadOnlyCgroups(t *testing.T) {
	kernelTest(t)
	for _, args := range bothWays {
		refuses(t, covered(t, "read-only", cgroupMounts(t), args...), container.RuntimeError, "read-only file system", "remount it rw")
	}
	args := []string{"run", "--cgroup-parent", testParent, "true"}
	refuses(t, covered(t, "read-only", cgroupMounts(t), args...), container.RuntimeError, "mounted read-only")
	// The cover itself does no harm.
	finish(t, covered(t, "tmpfs", []string{t.TempDir()}, args...)).want(t, "")
}

func TestNotRoot(t *testing.T) {
	kernelTest(t)
	runtimeDir := t.TempDir() // root's, so the user nobody may not write there either
	for _, args := range bothWays {
		cmd := program(t, args...)
		cmd.Dir = "/"
		cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+runtimeDir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		refuses(t, cmd, container.RuntimeError, "permission denied", "run as root", "delegated")
	}
	for _, dir := range []string{runtimeDir, fmt.Sprintf("/tmp/go-docker-%d", nobody)} {
		if left := tree(filepath.Join(dir, "go-docker"), false); len(left) > 0 {
			t.Errorf("made: %q", left)
		}
	}
	for _, dir := range cgroupMounts(t) {
		for _, path := range tree(dir, true) {
			var info unix.Stat_t
			ours := strings.Contains(path, "go-docker-") && !strings.Contains(path, "/go-docker-test.") // others test delegation
			if err := unix.Stat(path, &info); err == nil && info.Uid == nobody && ours {
				t.Errorf("made: %s", path)
			}
		}
	}
}

// In /tmp anybody may have made the directory of our records.
func TestForeignRecords(t *testing.T) {
	kernelTest(t)
	tmp, victim := t.TempDir(), t.TempDir()
	for _, dir := range []string{filepath.Dir(tmp), tmp, victim, filepath.Dir(victim)} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(tmp, fmt.Sprintf("go-docker-%d", nobody))
	text := fmt.Sprintf(`{"id": "0123456789ab", "cgroups": [%q]}`, victim)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0123456789ab.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "0123456789ab.json"), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := program(t, "run", "true")
	cmd.Dir = "/"
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp, "XDG_RUNTIME_DIR=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	refuses(t, cmd, container.RuntimeError, dir, "belongs to another user (uid 0)")
	if _, err := os.Stat(victim); err != nil {
		t.Error("the record was believed:", err)
	}
}
