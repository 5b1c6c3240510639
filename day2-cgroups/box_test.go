package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day2-cgroups/cgroup"
	"example.com/go-docker/day2-cgroups/hierarchy"
)

// The tests run in a mount namespace with an empty /run, so that the only
// records in it are those of their own containers, and nobody else sweeps them:
// go test tests several packages at the same time.
func init() {
	if len(os.Args) > 2 && os.Args[1] == "payload" {
		os.Exit(payload(os.Args[2], os.Args[3:]))
	}
	isProgram := os.Getenv("GO_DOCKER_BE_PROGRAM") == "1" || isCommand(os.Args)
	if os.Geteuid() == 0 && !isProgram && !inBox() {
		enterBox()
	}
}

func inBox() bool { return os.Getenv("GO_DOCKER_TEST_BOX") != "" }

// enterBox runs this program again in the box and exits with its status. It
// returns only if even root may not make a mount namespace; the tests then
// skip.
func enterBox() {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "GO_DOCKER_TEST_BOX=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	if err := cmd.Start(); errors.Is(err, unix.EPERM) {
		signal.Stop(caught)
		return
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "start the tests in a mount namespace:", err)
		os.Exit(1)
	}
	go func() {
		for sig := range caught {
			_ = cmd.Process.Signal(sig)
		}
	}()
	_ = cmd.Wait() // its status is used below
	os.Exit(statusOf(cmd))
}

// statusOf returns the exit status of a command that has ended, as in a shell.
func statusOf(cmd *exec.Cmd) int {
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

var furnishBox = sync.OnceValue(func() error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs on /run: %w", err)
	}
	// As systemd does. On private mounts a leaked mount would not show.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make the mount tree shared: %w", err)
	}
	return nil
})

// testParent is the cgroup below which the tests' containers are made, which
// distinguishes them from all others.
var testParent = "go-docker-test." + strconv.Itoa(os.Getpid())

// kernelTest starts a test that makes containers, and at its end checks that
// nothing is left: no cgroup, record or mount. (For processes see program.)
func kernelTest(t testing.TB) {
	t.Helper()
	needRoot(t)
	need(t, inBox(), "a mount namespace")
	if err := furnishBox(); err != nil {
		t.Fatal(err)
	}
	before := mountTable(t)
	t.Cleanup(func() {
		for _, path := range leftovers(t) {
			t.Error("left behind:", path)
		}
		for _, mount := range changedMounts(before, mountTable(t)) {
			t.Error(mount)
		}
		for _, dir := range cgroupMounts(t) { // for the next tests
			if err := cgroup.RemoveAll(filepath.Join(dir, testParent)); err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll("/run/go-docker"); err != nil {
			t.Error(err)
		}
	})
}

// refuses runs a command that must fail with a single line that has these
// words.
func refuses(t *testing.T, cmd *exec.Cmd, status int, words ...string) {
	t.Helper()
	got := finish(t, cmd)
	if got.status != status {
		t.Errorf("%q: exit status %d, want %d", cmd.Args, got.status, status)
	}
	for _, word := range words {
		got.wantOneError(t, word)
	}
}

// leftovers returns the tests' cgroups and records that still exist.
func leftovers(t testing.TB) []string {
	t.Helper()
	paths := tree("/run/go-docker", false)
	for _, dir := range cgroupMounts(t) {
		if below := tree(filepath.Join(dir, testParent), true); len(below) > 0 {
			paths = append(paths, below[1:]...) // not the parent itself, which kernelTest removes
		}
	}
	return paths
}

func tree(root string, dirsOnly bool) (paths []string) {
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (d.IsDir() || !dirsOnly) {
			paths = append(paths, path)
		}
		return nil
	})
	return paths
}

// cgroupMounts returns the mount points of all hierarchies.
func cgroupMounts(t testing.TB) (dirs []string) {
	t.Helper()
	all, err := hierarchy.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		dirs = append(dirs, h.Mount)
	}
	return dirs
}

// counters lists the controllers that every container has.
var counters = map[int][]string{1: {"memory", "cpu", "cpuacct", "pids"}, 2: {"memory", "pids"}}

// cgroupsOfOne returns in how many hierarchies a container has a cgroup on this
// machine.
func cgroupsOfOne() int {
	version, controllers, err := hierarchy.ByController()
	if err != nil {
		return 0 // the test fails because of this, see newSubject
	}
	mounts := map[string]bool{}
	for _, name := range counters[version] {
		mounts[controllers[name].Mount] = true
	}
	return len(mounts)
}

func mountTable(t testing.TB) string { return readFile(t, "/proc/self/mountinfo") }

func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

var oneError = regexp.MustCompile(`^error: [^\x00-\x1f\x7f]+\n$`)

// wantOneError fails the test unless stderr is one line with text in it.
func (r outcome) wantOneError(t *testing.T, text string) {
	t.Helper()
	if r.stdout != "" || !oneError.MatchString(r.stderr) || !strings.Contains(r.stderr, text) {
		t.Errorf("stdout %q, stderr %q; want one line with %q on stderr only", r.stdout, r.stderr, text)
	}
}
