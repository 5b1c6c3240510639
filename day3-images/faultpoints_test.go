package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/container"
	"example.com/go-docker/day3-images/internal/testkit"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

func newSubject(t testing.TB) subject {
	s := boxes(t, nil) // shared mounts, an empty /run
	finish(t, s.run(t, "--rm", "busybox", "true")).want(t, "")
	return s.subject(t, func(command ...string) *exec.Cmd {
		return s.run(t, append([]string{"--rm", "-m", "100m", "--pids-limit", "50", "busybox"}, command...)...)
	})
}

// subject takes what exists now as what is to be left afterwards.
func (s testStore) subject(t testing.TB, run func(command ...string) *exec.Cmd) subject {
	before := append(strings.Split(mountTable(t), "\n"), tree(s.Root, false)...)
	return subject{t: t, run: run, made: func() []string {
		now := append(strings.Split(mountTable(t), "\n"), tree(s.Root, false)...)
		return append(minus(now, before), leftovers(t)...)
	}}
}

func points() []point {
	c := cgroupsOfOne()
	return []point{
		{"the image is found", "flock", []int{1}, false},
		{"the container is to get its directory", "mkdirat", []int{1}, false},
		{"the directory is there, and empty", "mkdirat", []int{2}, false},
		{"the directory is full, and not locked", "flock", []int{2}, false},
		{"its lock is held, and has no name", "linkat", []int{1}, false},
		{"the directory is locked, without a description", "renameat", []int{1}, false},
		{"the container is described", "umask", []int{1}, false},
		{"all that is on disk is made", "close_range", []int{1}, false},
		{"the record is there, but has no name", "linkat", []int{2}, false},
		{"the record has its name, there is no cgroup", "mkdirat", []int{6}, false},
		{"there are cgroups, but not all", "mkdirat", []int{5 + 2*c}, false},
		{"a limit is to be set", "write", []int{7}, false},
		{"a limit is set, others are not", "write", []int{8}, false},
		{"the cgroup is ready, a first pipe is there", "pipe2", []int{2}, false},
		{"init is in namespaces, and not yet this program", "setsid", []int{1}, true},
		{"it is this program, and has its container", "mount", []int{1}, true},
		{"its mounts are private, there is no overlay", "mount", []int{2}, true},
		{"there is an overlay and nothing in it", "move_mount", []int{1}, true},
		{"/proc is mounted", "move_mount", []int{2}, true},
		{"/sys is mounted", "move_mount", []int{3}, true},
		{"/dev is complete", "open_tree", []int{1}, true},
		{"/proc is masked, not locked", "mount_setattr", []int{1}, true},
		{"the root is ready, and not entered", "pivot_root", []int{1}, true},
		{"the old root lies over the new one", "umount2", []int{1}, true},
		{"the old root is gone", "sethostname", []int{1}, true},
		{"it has a host name", "ioctl", []int{1}, true},
		{"the thread that starts the command is in the cgroup", "capset", []int{1}, true},
		{"the command runs", "wait4", []int{1}, true},
		{"the parent waits for init", "waitid", []int{3, 2, 1}, false},
		{"init has ended, no cgroup is removed", "unlinkat", []int{1}, false},
		{"a cgroup is removed, its parent is not", "unlinkat", []int{1 + c}, false},
		{"the cgroups are removed, the record is not", "unlinkat", []int{1 + 2*c}, false},
		{"the container's cgroups are gone, its directory is not", "unlinkat", []int{3 + 2*c}, false},
		{"the container is described no more", "unlinkat", []int{4 + 2*c}, false},
		{"the container's directory is half removed", "unlinkat", []int{14 + 2*c, 10 + 2*c}, false},
		{"all has ended but the parent itself", "exit_group", []int{1}, false},
	}
}

// The store is on a full disk, which gets a little more room each time until it
// has enough.
func TestRunOnFullDisk(t *testing.T) {
	kernelTest(t)
	const roomy = "size=16m,nr_inodes=2000"
	mount := t.TempDir()
	if err := unix.Mount("full", mount, "tmpfs", 0, roomy); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(mount, 0); err != nil {
			t.Error(err)
		}
	}()
	s := openTestStore(t, mount+"/store")
	if _, err := commit.Image(context.Background(), s.Store, nil, testkit.WriteTar(t, busyboxFiles(t)...), func(*v1.ConfigFile) error { return nil }, "busybox"); err != nil {
		t.Fatal(err)
	}
	run := func() *exec.Cmd { return s.run(t, "--rm", "busybox", "sh", "-c", "echo alive >x; cat x") }
	finish(t, run()).want(t, "alive\n")
	var fs unix.Statfs_t
	if err := unix.Statfs(mount, &fs); err != nil {
		t.Fatal(err)
	}
	subject := s.subject(t, func(command ...string) *exec.Cmd {
		// Somebody makes room.
		if err := unix.Mount("full", mount, "tmpfs", unix.MS_REMOUNT, roomy); err != nil {
			t.Fatal(err)
		}
		return s.run(t, append([]string{"--rm", "busybox"}, command...)...)
	})
	for _, what := range []string{"nr_inodes", "nr_blocks"} {
		failed := 0
		for room := uint64(0); ; room++ {
			used := map[string]uint64{"nr_inodes": fs.Files - fs.Ffree, "nr_blocks": fs.Blocks - fs.Bfree}[what]
			if err := unix.Mount("full", mount, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("%s=%d", what, used+room)); err != nil {
				t.Fatal(err)
			}
			got := finish(t, run())
			subject.survives(fmt.Sprintf("%s, room for %d: %+v", what, room, got))
			if got == (outcome{0, "alive\n", ""}) {
				break
			}
			failed++
			if !strings.Contains(strings.ToLower(got.stderr), "no space left on device") || strings.Count(got.stderr, "error: ") > 1 {
				t.Errorf("%s, room for %d: %+v", what, room, got)
			}
		}
		if failed < 3 {
			t.Errorf("%s: failed only %d times", what, failed)
		}
	}
}

// A store on a read-only file system can be read, but a container needs a place
// for its changes.
func TestReadOnlyStore(t *testing.T) {
	s := boxes(t, nil)
	readOnly := func(args ...string) *exec.Cmd {
		cmd := throughShell(program(t, append([]string{"--root", s.Root}, args...)...),
			fmt.Sprintf(`mount --bind %q %[1]q && mount -o remount,bind,ro %[1]q && exec "$@"`, s.Root))
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		return cmd
	}
	for _, args := range [][]string{
		{"run", "--cgroup-parent", testParent, "busybox", "true"}, {"import", "/etc/passwd", "x"}, {"rmi", "busybox"}, {"tag", "busybox", "x"},
	} {
		refuses(t, readOnly(args...), container.RuntimeError, "read-only file system")
	}
	s.says(t, "alive\n", "echo alive")
	sound(t, s)
}

// Results that cannot be written are an error, and nothing is printed.
func TestResultsAreLost(t *testing.T) {
	s := boxes(t, nil)
	for _, args := range [][]string{{"images"}, {"inspect", "busybox"}, {"history", "busybox"}, {"save", "busybox"}} {
		cmd := throughShell(onStore(s, args...), `exec "$@" >/dev/full`)
		got := finish(t, cmd)
		if got.status != container.RuntimeError || !strings.Contains(got.stderr, "no space left on device") || strings.Count(got.stderr, "error: ") != 1 {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// If ended by ^C, twice or once, or by SIGTERM, long commands leave only what
// is complete, even if they are waiting for input. (For SIGKILL see
// crash_test.go.)
func TestStoreCommandsAreInterrupted(t *testing.T) {
	s := boxes(t, nil)
	before := ok(t, s, "images", "-q")
	archive := tarOf(t, makeImage(t, testkit.Tar(t, testkit.File("x", string(testkit.Text(200_000))))).dockerFiles(t, "new:1"))
	for _, signals := range [][]syscall.Signal{{syscall.SIGINT}, {syscall.SIGINT, syscall.SIGINT}, {syscall.SIGTERM}} {
		for _, args := range [][]string{{"load"}, {"import", "-", "new"}} {
			cmd := onStore(s, args...)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			c := launch(t, cmd)
			if _, err := in.Write(archive[:len(archive)/2]); err != nil {
				t.Fatal(err)
			}
			poll(t, "it has begun", func() bool { return len(tree(s.Path("tmp"), false)) > 1 })
			for _, sig := range signals {
				send(t, sig, cmd.Process.Pid)
			}
			// No more input comes, and it does not wait for any.
			if got := c.wait(); got.status != 128+int(signals[0]) && !(len(signals) > 1 && got.status == -1) {
				t.Errorf("%q %v: %+v", args, signals, got)
			}
			if after := ok(t, s, "images", "-q"); after != before {
				t.Errorf("%q %v: %q", args, signals, after)
			}
			sound(t, s)
		}
	}
}

// ^C at many steps of the other commands: nothing half-made is left, and
// nothing for the next command to remove.
func TestStoreCommandsInterruptedAtEveryStep(t *testing.T) {
	s := boxes(t, nil)
	needStrace(t)
	finish(t, s.run(t, "--name", "changed", "busybox", "sh", "-c", "echo changed >x")).want(t, "")
	dir := t.TempDir()
	ok(t, s, "save", "-o", dir+"/in.tar", "busybox")
	ok(t, s, "commit", "-o", dir+"/root.tar", "changed")
	counts := []int{1}
	if longForm() {
		counts = []int{1, 2, 4}
	}
	subject := subject{t: t}
	started := time.Now()
	for _, args := range [][]string{
		{"load", "-i", dir + "/in.tar"}, {"import", dir + "/root.tar", "imported"}, {"commit", "changed", "committed"},
		{"commit", "-o", dir + "/out.tar", "changed"}, {"save", "-o", dir + "/out.tar", "busybox"},
		{"tag", "busybox", "tagged"}, {"rmi", "tagged"}, {"rmi", "imported", "committed"}, {"rm", "changed"},
	} {
		for _, n := range counts {
			for _, call := range []string{"mkdirat", "renameat", "write", "unlinkat"} {
				if inGuest() && time.Since(started) > 20*time.Second {
					continue
				}
				what := fmt.Sprintf("%q, ^C at call %d of %s", args, n, call)
				got := subject.interruptedAt(onStore(s, args...), call, n)
				// 125: an earlier one has removed it.
				if !slices.Contains([]int{0, 125, 130, -1}, got.status) || strings.Contains(got.stderr, "goroutine") {
					t.Errorf("%s: %+v", what, got)
				}
				noProcesses(t)
				left := append(tree(s.Path("tmp"), false)[1:], tree(dir, false)[1:]...)
				left = slices.DeleteFunc(left, func(path string) bool { return strings.HasPrefix(path, dir+"/") && strings.HasSuffix(path, ".tar") })
				if len(left) > 0 {
					t.Fatalf("%s: left: %q", what, left)
				}
			}
		}
	}
	sound(t, s)
}

// interruptedAt runs a command that gets one ^C, at its nth call of this kind.
// (strace's own injection counts per thread, so it would send several.)
func (s subject) interruptedAt(cmd *exec.Cmd, call string, n int) outcome {
	s.t.Helper()
	l := s.inject(cmd, call, fmt.Sprintf("delay_enter=%d:when=%d", held().Microseconds(), n))
	if !l.signalHeld(syscall.SIGINT, func(program int) []int { return []int{program} }) {
		s.t.Errorf("nobody saw the program held at call %d of %s: it got no ^C", n, call)
	}
	return l.wait()
}
