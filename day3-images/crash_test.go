package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/internal/testkit"
	"example.com/go-docker/day3-images/snapshot"
	"example.com/go-docker/day3-images/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// A scenario is a command that changes a store, and what it needs.
type scenario struct {
	name    string
	prepare func(t *testing.T, s testStore) (args []string)
	made    string // the image that exists once it has succeeded
}

func scenarios(t *testing.T) []scenario {
	registry, app := newRegistry(t), smallImage(t)
	registry.push(t, "1", app)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	archive := write("archive.tar", tarOf(t, app.dockerFiles(t, "app:1")))
	root := write("root.tar", testkit.Tar(t, testkit.File("a", string(testkit.Text(200_000)))))
	return []scenario{
		{"pull", func(*testing.T, testStore) []string { return []string{"pull", registry.name("1")} }, registry.name("1")},
		{"load", func(*testing.T, testStore) []string { return []string{"load", "-i", archive} }, "app:1"},
		{"import", func(*testing.T, testStore) []string { return []string{"import", root, "app:1"} }, "app:1"},
		{"rmi", func(t *testing.T, s testStore) []string {
			if _, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t, testkit.File("b", "")), func(*v1.ConfigFile) error { return nil }, "app:1"); err != nil {
				t.Fatal(err)
			}
			return []string{"rmi", "-f", "app:1"}
		}, ""},
	}
}

// afterCrash checks that the store is as before the command or as after it, and
// that the same command now works.
func (sc scenario) afterCrash(t *testing.T, s testStore, args []string) {
	t.Helper()
	if _, err := store.Open(s.Root); err != nil { // sweeps
		t.Fatal(err)
	}
	sound(t, s)
	if img, err := s.Resolve("other"); err != nil || !snapshot.Has(s.Store, img.Config.RootFS.DiffIDs[0]) {
		t.Errorf("the image that was there before: %v", err)
	}
	if sc.made != "" {
		if _, err := s.Resolve(sc.made); err != nil && !errors.Is(err, store.ErrNoImage) {
			t.Error(err)
		}
	}
	ok(t, s, args...)
	sound(t, s)
	if sc.made != "" {
		if _, err := s.Resolve(sc.made); err != nil {
			t.Error(err)
		}
	}
	// Nothing is left once everything is removed. An import that was killed
	// after making its image and then repeated has made two.
	ok(t, s, append([]string{"rmi", "-f"}, strings.Fields(ok(t, s, "images", "-q"))...)...)
	if left := contents(t, s); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func storeWithOther(t *testing.T) testStore {
	s := emptyStore(t)
	if _, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t, testkit.File("other", "")), func(*v1.ConfigFile) error { return nil }, "other"); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKilledAtRandom kills commands with SIGKILL after a random time.
func TestKilledAtRandom(t *testing.T) {
	needRoot(t)
	for _, sc := range scenarios(t) {
		t.Run(sc.name, func(t *testing.T) {
			s := storeWithOther(t)
			args := sc.prepare(t, s)
			started := time.Now()
			ok(t, s, args...)
			took := time.Since(started)
			killed := 0
			for range 8 {
				s := storeWithOther(t)
				args := sc.prepare(t, s)
				cmd := onStore(s, args...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(rand.Int64N(int64(took))))
				cmd.Process.Signal(syscall.SIGKILL)
				if err := cmd.Wait(); err != nil {
					killed++
				}
				sc.afterCrash(t, s, args)
			}
			t.Logf("%d of 8 were killed before their end", killed)
		})
	}
}

// TestKilledAtSyscall kills commands at each of the system calls that change
// the store. strace(1) does it, just before the call.
func TestKilledAtSyscall(t *testing.T) {
	needRoot(t)
	_, err := exec.LookPath("strace")
	need(t, err == nil, "strace")
	for _, sc := range scenarios(t) {
		for _, call := range fewInGuests("renameat", "mkdirat", "syncfs", "fsync", "unlinkat", "flock") {
			t.Run(sc.name+"/"+call, func(t *testing.T) {
				for n := 1; n < 30; n++ {
					s := storeWithOther(t)
					args := sc.prepare(t, s)
					if !straced(t, s, fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n), args) {
						adds := call == "syncfs" || call == "mkdirat"
						if n == 1 && !(sc.name == "rmi" && adds) { // rmi adds nothing, so that it works on a full disk
							t.Error("it makes no such call")
						}
						return // it makes no more of them
					}
					sc.afterCrash(t, s, args)
				}
			})
		}
	}
}

// fewInGuests returns only the first of the calls with -short, or in a guest,
// which takes twenty times as long and has the same file systems.
func fewInGuests(calls ...string) []string {
	if testing.Short() || inGuest() {
		return calls[:1]
	}
	return calls
}

// strace returns strace(1) with options, running a command on the store.
func strace(t *testing.T, s testStore, args []string, options ...string) *exec.Cmd {
	t.Helper()
	program := onStore(s, args...)
	self, err := os.Executable() // /proc/self/exe would be strace itself
	if err != nil {
		t.Fatal(err)
	}
	options = append([]string{"-f", "-qq"}, options...)
	cmd := exec.Command("strace", append(append(options, self), program.Args[1:]...)...)
	cmd.Env = append(program.Env, "GOMAXPROCS=1")
	return cmd
}

// straced runs a command under strace and reports whether it was killed.
func straced(t *testing.T, s testStore, inject string, args []string) bool {
	t.Helper()
	out, err := strace(t, s, args, "-o", "/dev/null", "-e", inject).CombinedOutput()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	if err == nil {
		return false
	}
	if status := exited.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("strace: %v: %s", err, out)
	}
	return true
}

// TestFailingSyscall makes the nth of these calls fail, as on a full or broken
// disk. The command says so in one line, or does without the call.
func TestFailingSyscall(t *testing.T) {
	needRoot(t)
	_, err := exec.LookPath("strace")
	need(t, err == nil, "strace")
	for _, sc := range scenarios(t) {
		for _, call := range fewInGuests("renameat", "syncfs", "fsync", "mkdirat") {
			errno := map[string]string{"mkdirat": "ENOSPC"}[call]
			if errno == "" {
				errno = "EIO"
			}
			t.Run(sc.name+"/"+call, func(t *testing.T) {
				for n := 1; n < 30; n++ {
					s := storeWithOther(t)
					args := sc.prepare(t, s)
					got := finish(t, strace(t, s, args, "-o", s.Root+".trace", "-e", "trace="+call,
						"-e", fmt.Sprintf("inject=%s:error=%s:when=%d", call, errno, n)))
					trace, err := os.ReadFile(s.Root + ".trace")
					if err != nil {
						t.Fatal(err)
					}
					if !strings.Contains(string(trace), "INJECTED") {
						adds := call == "syncfs" || call == "mkdirat"
						if n == 1 && !(sc.name == "rmi" && adds) { // rmi adds nothing, so that it works on a full disk
							t.Error("it makes no such call")
						}
						return
					}
					if got.status == 0 {
						t.Errorf("call %d failed and nobody noticed:\n%s", n, trace)
					} else if got.status != container.RuntimeError || strings.Count(lastLines(got.stderr), "error: ") != 1 {
						t.Errorf("call %d: %+q", n, got)
					}
					sc.afterCrash(t, s, args)
				}
			})
		}
	}
}

// TestFullDisk runs commands on a file system that is too small, and enlarges
// it little by little until they succeed.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	if os.Getenv("GO_DOCKER_TEST_FULL") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), "GO_DOCKER_TEST_FULL=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS} // Go makes it private
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "--- SKIP") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	const page = 4096
	for _, sc := range scenarios(t) {
		if sc.made == "" {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			mount := t.TempDir()
			failed := 0
			step, enough := 3, 10
			if len(fewInGuests("", "")) == 1 {
				step, enough = 15, 2
			}
			for pages := 40; ; pages += step {
				if err := unix.Mount("full", mount, "tmpfs", 0, fmt.Sprintf("size=%d", pages*page)); err != nil {
					t.Fatal(err)
				}
				s := openTestStore(t, mount+"/store")
				args := sc.prepare(t, s)
				got := finish(t, onStore(s, args...))
				if got.status == 0 {
					t.Logf("succeeds with %d pages; failed %d times before", pages, failed)
					sound(t, s)
					if err := unix.Unmount(mount, 0); err != nil {
						t.Fatal(err)
					}
					break
				}
				failed++
				if got.status != container.RuntimeError || !strings.Contains(got.stderr, "no space left on device") || strings.Count(got.stderr, "error: ") != 1 {
					t.Errorf("with %d pages: %+q", pages, got)
				}
				sound(t, s)
				// Somebody makes room.
				if err := unix.Mount("full", mount, "tmpfs", unix.MS_REMOUNT, "size=100m"); err != nil {
					t.Fatal(err)
				}
				ok(t, s, args...)
				sound(t, s)
				if err := unix.Unmount(mount, 0); err != nil {
					t.Fatal(err)
				}
			}
			if failed < enough {
				t.Errorf("failed only %d times: the steps are too large", failed)
			}
		})
	}
}
