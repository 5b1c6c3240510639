package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/hierarchy"
	"example.com/go-docker/day5-networks/namespace"
	"example.com/go-docker/day5-networks/state"
)

// patience is how long to wait for something that must happen. It is long
// because a guest with an emulated processor is slow. Tests never wait for
// something that must not happen.
const patience = 3 * time.Minute

const boxed = "GO_DOCKER_TEST_BOX"

// TestMain runs the tests in a mount namespace with an empty /run, so that the
// only records in it are those of their own containers, and nobody else sweeps
// them. They also run in a network namespace, which plays the host, so that
// containers change nothing elsewhere.
func TestMain(m *testing.M) {
	if os.Geteuid() == 0 && os.Getenv(boxed) == "" {
		os.Exit(enterBox())
	}
	if os.Geteuid() == 0 {
		if err := furnishBox(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the tests:", err)
			os.Exit(1)
		}
	}
	status := m.Run()
	if dir := filepath.Dir(binaryPath); dir != "." {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

func enterBox() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), boxed+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "start the tests in namespaces of their own:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode() & 0xff
}

func furnishBox() error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs on /run: %w", err)
	}
	if err := namespace.LoopbackUp(); err != nil {
		return err
	}
	// As systemd does. On private mounts a leaked mount would not show.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make the mount tree shared: %w", err)
	}
	// Shims outlive their parents and become our children, so that we see every
	// one.
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// needRoot skips the test for other users. If GO_DOCKER_MUST_RUN=1 promises a
// complete machine, it fails the test instead.
func needRoot(t testing.TB) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("GO_DOCKER_MUST_RUN") == "1":
		t.Fatal("needs root, and GO_DOCKER_MUST_RUN=1 does not let it skip")
	default:
		t.Skip("needs root")
	}
}

// times returns how often to try something that could succeed by chance.
func times(n int) int {
	switch {
	case os.Getenv("GO_DOCKER_LONG") != "":
		return 10 * n
	case testing.Short():
		return max(1, n/10)
	}
	return n
}

var binaryPath string

// binary is the program, built once, because the test binary has other
// packages, too.
var binary = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("STEPS_BIN"); dir != "" { // in a virtual machine without Go
		return filepath.Join(dir, "day5-networks"), nil
	}
	dir, err := os.MkdirTemp("", "go-docker-test.")
	if err != nil {
		return "", err
	}
	binaryPath = filepath.Join(dir, "day5-networks")
	args := []string{"build", "-tags", "urfave_cli_no_docs", "-o", binaryPath, "."}
	if raceEnabled {
		args = append([]string{"build", "-race"}, args[1:]...)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %q: %w: %s", args, err, out)
	}
	return binaryPath, nil
})

// A world is a test's own store, with a busybox image in it.
type world struct {
	testing.TB
	program, root string
}

// testParent is the cgroup below which the tests' containers are made, which
// distinguishes them from all others.
var testParent = "go-docker-test." + strconv.Itoa(os.Getpid())

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAt(t, filepath.Join(t.TempDir(), "store"))
}

func newWorldAt(t testing.TB, root string) *world {
	t.Helper()
	needRoot(t)
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t, program, root}
	mounts, before := w.read("/proc/self/mountinfo"), w.machine()
	t.Cleanup(func() {
		w.leavesNothing(mounts)
		w.sameMachine(before)
	})
	cmd := w.command("import", "-c", "ENV FROM=image", "-", "box")
	cmd.Stdin = bytes.NewReader(busyboxTar(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("import: %v: %s", err, out)
	}
	return w
}

// busyboxTar returns a root directory with a shell and the usual commands.
func busyboxTar(t testing.TB) []byte {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("the tests need busybox-static: ", err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(h *tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"./", "bin/", "etc/", "tmp/", "root/", "home/"} {
		add(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	add(&tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, name := range strings.Fields("sh sleep cat echo ls id true false kill ps touch seq head tail test env pwd hostname stty tr printf mkdir ln rm dd yes wc grep mkfifo readlink usleep stat tee chmod chown nslookup wget nc httpd ip ping") {
		add(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	add(&tar.Header{Name: "bin/text", Mode: 0o755}, []byte("not a program"))
	add(&tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"))
	add(&tar.Header{Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nann:x:1000:\nteam:x:50:ann\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// command returns the program with this store.
func (w *world) command(args ...string) *exec.Cmd {
	if args[0] == "run" || args[0] == "create" {
		args = append([]string{args[0], "--cgroup-parent", testParent}, args[1:]...)
	}
	cmd := exec.Command(w.program, append([]string{"--root", w.root}, args...)...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	return cmd
}

// An outcome is what a command has printed, and its exit status.
type outcome struct {
	status         int // as in a shell
	stdout, stderr string
}

func (w *world) do(args ...string) outcome {
	w.Helper()
	return w.finish(w.command(args...))
}

func (w *world) finish(cmd *exec.Cmd) outcome {
	w.Helper()
	var out, errs bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &errs
	}
	cmd.WaitDelay = 5 * time.Second // in case a leftover process holds our pipes open
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		w.Fatalf("%q has not ended after %v: %s%s", cmd.Args, patience, &out, &errs)
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		w.Errorf("%q has left its output open", cmd.Args)
	}
	return outcome{statusOf(cmd), out.String(), errs.String()}
}

func statusOf(cmd *exec.Cmd) int {
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// ok runs a command that must succeed and print only info messages on stderr,
// and returns its output.
func (w *world) ok(args ...string) string {
	w.Helper()
	got := w.do(args...)
	if got.status != 0 || notes.ReplaceAllString(got.stderr, "") != "" {
		w.Fatalf("%q: status %d, %s%s", args, got.status, got.stdout, got.stderr)
	}
	return strings.TrimSuffix(got.stdout, "\n")
}

var (
	notes    = regexp.MustCompile(`(?m)^info: .*\n`)
	oneError = regexp.MustCompile(`^error: [^\x00-\x1f\x7f]+\n$`)
)

// fails runs a command that must fail with this status and a single line.
func (w *world) fails(status int, word string, args ...string) {
	w.Helper()
	got := w.do(args...)
	line := notes.ReplaceAllString(got.stderr, "")
	if got.status != status || got.stdout != "" || !oneError.MatchString(line) || !strings.Contains(line, word) {
		w.Errorf("%q: status %d, stdout %q, stderr %q; want status %d and one line with %q", args, got.status, got.stdout, got.stderr, status, word)
	}
}

// plain returns the outcome without the notes about changes to the machine.
func (o outcome) plain() outcome {
	o.stderr = notes.ReplaceAllString(o.stderr, "")
	return o
}

// status returns a container's status in ps.
func (w *world) status(name string) string {
	w.Helper()
	return w.ok("ps", "-a", "-f", "name="+name, "--format", "{{.Status}}")
}

// state returns a container's state on disk.
func (w *world) state(name string) *state.State {
	w.Helper()
	id := w.ok("inspect", "-f", "{{.Id}}", name)
	s, err := state.Read(filepath.Join(w.root, "containers", id))
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) read(path string) string {
	w.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// until waits until done returns true.
func (w *world) until(what string, done func() bool) {
	w.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// says waits until a container's log has this text.
func (w *world) says(name, text string) {
	w.Helper()
	w.until(name+" says "+text, func() bool {
		got := w.do("logs", name)
		return strings.Contains(got.stdout+got.stderr, text)
	})
}

// logs waits until a container's log has just these texts: its two streams come
// on two ways.
func (w *world) logs(name, stdout, stderr string) {
	w.Helper()
	var got outcome
	for end := time.Now().Add(patience); got != (outcome{0, stdout, stderr}); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("the log of %s: %+q", name, got)
		}
		got = w.do("logs", name)
	}
}

// stop stops a process, SIGSTOP, which it does only when it next has the
// processor.
func (w *world) stop(pid int) {
	w.Helper()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		w.Fatalf("stop process %d: %v", pid, err)
	}
	w.until("it has stopped", func() bool { return state.Stopped(pid) })
}

// alive reports whether a process is running; a zombie is not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func (w *world) kill(pid int) {
	w.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		w.Fatalf("kill process %d: %v", pid, err)
	}
}

// leavesNothing removes all containers, and fails the test if a process,
// record, cgroup, mount or directory is left.
func (w *world) leavesNothing(mounts string) {
	w.Helper()
	if ids := strings.Fields(w.do("ps", "-aq").stdout); len(ids) > 0 {
		if got := w.do(append([]string{"rm", "-f"}, ids...)...); got.status != 0 {
			w.Errorf("rm -f %q: %s", ids, got.stderr)
		}
	}
	w.ok("ps")
	for _, path := range w.leftovers() {
		w.Error("left behind:", path)
	}
	w.noProcesses()
	if after := w.read("/proc/self/mountinfo"); after != mounts {
		w.Errorf("mounts before:\n%s\nafter:\n%s", mounts, after)
	}
	for _, dir := range hierarchies(w) {
		if err := cgroup.RemoveAll(filepath.Join(dir, testParent)); err != nil {
			w.Error(err)
		}
	}
}

// leftovers returns the records, cgroups and directories of containers.
func (w *world) leftovers() (paths []string) {
	dirs := []string{"/run/go-docker", filepath.Join(w.root, "containers"), filepath.Join(w.root, "tmp")}
	for _, dir := range hierarchies(w) {
		dirs = append(dirs, filepath.Join(dir, testParent))
	}
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			inCgroup := strings.HasPrefix(path, "/sys/")
			if err == nil && path != dir && (!inCgroup || d.IsDir()) {
				paths = append(paths, path)
			}
			return nil
		})
	}
	return paths
}

func hierarchies(t testing.TB) (dirs []string) {
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

// noProcesses fails the test if one of its processes is left.
func (w *world) noProcesses() {
	w.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.ECHILD) {
			return
		}
		if pid == 0 && time.Now().After(end) {
			break
		}
	}
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, file := range files {
		for _, field := range strings.Fields(w.read(file)) {
			pid, _ := strconv.Atoi(field)
			w.Errorf("process %d was left: %q", pid, w.read("/proc/"+field+"/cmdline"))
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
	}
}
