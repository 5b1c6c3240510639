package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long to wait for something that must happen. It is long
// because a guest with an emulated processor is slow. Tests never wait for
// something that must not happen.
const patience = 60 * time.Second

// TestMain lets the test binary play all the parts: in a test /proc/self/exe is
// the test binary, so it must be the program, too. Init starts even before
// TestMain.
func TestMain(m *testing.M) {
	if os.Getenv("GO_DOCKER_BE_PROGRAM") == "1" || isCommand(os.Args) {
		main()
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	// Processes that outlive their parent become our children, so that
	// noProcesses sees every one that was left behind. prctl(2)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "become a subreaper:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// isCommand is for the demo, whose command in the container gets none of our
// environment.
func isCommand(args []string) bool {
	return len(args) > 1 && newApp().Command(args[1]) != nil
}

// need skips a test on a machine that lacks what the test is about. If
// GO_DOCKER_MUST_RUN=1 promises a complete machine, as in CI, it fails the test
// instead.
func need(t testing.TB, have bool, what string) {
	t.Helper()
	switch {
	case have:
	case os.Getenv("GO_DOCKER_MUST_RUN") == "1":
		t.Fatalf("needs %s, and GO_DOCKER_MUST_RUN=1 does not let it skip", what)
	default:
		t.Skipf("needs %s", what)
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	need(t, os.Geteuid() == 0, "root")
}

// program returns this chapter's program with the given arguments. When the
// test ends, none of its processes may be left.
func program(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "go-docker"
	cmd.Env = append(os.Environ(), "GO_DOCKER_BE_PROGRAM=1")
	t.Cleanup(func() { noProcesses(t) })
	return cmd
}

// An outcome is a program's exit status and output.
type outcome struct {
	status         int // -1: a signal killed the program itself
	stdout, stderr string
}

// finish runs cmd to its end.
func finish(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	return launch(t, cmd).wait()
}

// want fails the test unless the command succeeded and printed exactly this,
// and the program printed nothing itself.
func (r outcome) want(t testing.TB, stdout string) {
	t.Helper()
	if r != (outcome{0, stdout, ""}) {
		t.Errorf("got  %+q\nwant %+q", r, outcome{0, stdout, ""})
	}
}

// A launched program runs until it is waited for or the test ends.
type launched struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr transcript
	ended          chan struct{}
	err            error // once ended is closed
}

func launch(t testing.TB, cmd *exec.Cmd) *launched {
	t.Helper()
	l := &launched{t: t, cmd: cmd, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &l.stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &l.stderr
	}
	cmd.WaitDelay = patience // in case a leftover process holds our pipes open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.ended)
		l.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-l.ended
	})
	return l
}

func (l *launched) wait() outcome {
	l.t.Helper()
	select {
	case <-l.ended:
	case <-time.After(patience):
		l.t.Fatalf("%q still runs after %v; stdout %q, stderr %q", l.cmd.Args, patience, l.stdout.String(), l.stderr.String())
	}
	if l.cmd.ProcessState == nil || l.err == exec.ErrWaitDelay {
		l.t.Fatalf("wait for %q: %v", l.cmd.Args, l.err)
	}
	return outcome{l.cmd.ProcessState.ExitCode(), l.stdout.String(), l.stderr.String()}
}

// says waits until the program has printed text.
func (l *launched) says(text string) {
	l.t.Helper()
	poll(l.t, fmt.Sprintf("%q says %q", l.cmd.Args, text), func() bool {
		if strings.Contains(l.stdout.String(), text) {
			return true
		}
		select {
		case <-l.ended:
			l.t.Fatalf("%q ended without saying %q: %v; stdout %q, stderr %q", l.cmd.Args, text, l.err, l.stdout.String(), l.stderr.String())
		default:
		}
		return false
	})
}

func (l *launched) signal(sig syscall.Signal) {
	l.t.Helper()
	if err := l.cmd.Process.Signal(sig); err != nil {
		l.t.Fatalf("send %v: %v", sig, err)
	}
}

// children returns all processes whose parent is one of pid's threads. proc(5)
func children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var all []int
	for _, file := range files {
		text, _ := os.ReadFile(file) // "": the thread has just ended
		for _, field := range strings.Fields(string(text)) {
			child, _ := strconv.Atoi(field)
			all = append(all, child)
		}
	}
	slices.Sort(all)
	return all
}

// noProcesses fails the test if a process that it started is left, at a point
// where none may be. TestMain made us the parent of any leftovers.
func noProcesses(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.ECHILD {
			return
		}
		if pid == 0 && time.Now().After(end) {
			break
		}
	}
	for _, pid := range children(os.Getpid()) {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		t.Errorf("process %d was left: %q", pid, cmdline)
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
	}
}

// poll waits until done returns true.
func poll(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// A transcript is a buffer that one goroutine writes while another reads.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// init returns the process id, as seen from here, of the container's first
// process.
func (l *launched) init() int { l.t.Helper(); return l.onlyChild(l.cmd.Process.Pid) }

func (l *launched) onlyChild(pid int) int {
	l.t.Helper()
	all := children(pid)
	if len(all) != 1 {
		l.t.Fatalf("process %d has children %v, want one; stdout %q, stderr %q", pid, all, l.stdout.String(), l.stderr.String())
	}
	return all[0]
}
