package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/day1-namespaces/container"
)

// What may go wrong from outside, at every step: the program is killed, may not
// fork, gets no memory, has nowhere to write. Afterwards none of its processes
// is left and the next run works; when that has ended, everything else is gone,
// too: cgroups, mounts, files. Namespaces go with their processes and mounts,
// because nothing else holds them. namespaces(7)
//
// strace(1) injects the faults without any help from the program: it makes a
// system call fail, or sends a signal when it is called.

// A subject is a chapter's program as the fault tests see it.
type subject struct {
	t    testing.TB
	run  func(command ...string) *exec.Cmd // a container, with limits if the chapter has them
	made func() []string                   // everything left of containers except processes
}

// A point is a step in starting and stopping a container, identified by the
// system call that comes next. which has several numbers for that call, because
// strace counts per thread, and how many calls come before depends on the
// machine.
type point struct {
	done  string // before
	call  string
	which []int
	init  bool // a call in init, which is held there while its parent is killed
}

// longForm reports whether to run the long form: 1,000 runs in all chapters
// together.
func longForm() bool { return os.Getenv("GO_DOCKER_LONG") == "1" }

const longRuns = 334

// inGuest reports whether this is a virtual machine, which may take twenty
// times as long. A real machine has done all of it.
func inGuest() bool { return os.Getenv("GO_DOCKER_VM") != "" }

func TestKilledAtEveryStep(t *testing.T) {
	s := newSubject(t)
	needStrace(t)
	s.survives("nothing at all")
	points := points()
	started, runs, hits := time.Now(), 0, make([]int, len(points))
	for round := 0; round == 0 || runs < longRuns && longForm(); round++ {
		for i, p := range points {
			for try := range 3 * len(p.which) {
				which := p.which[(round+try)%len(p.which)]
				runs++
				if s.kill(p, which) {
					hits[i]++
					break
				}
				// On this machine there are not that many calls, or this time
				// not in one thread, and the run succeeded.
			}
			if inGuest() && time.Since(started) > 20*time.Second {
				return
			}
		}
	}
	for i, p := range points {
		if hits[i] == 0 {
			t.Errorf("%q: the program makes no such call: %s", p.done, p.call)
		}
	}
	t.Logf("%d points, %d runs", len(points), runs)
}

// ^C at every step of the parent, ^C again and again, and SIGTERM: nothing is
// left once it has ended, not just after the next run. The long form does all
// three at each step, the short form takes turns.
func TestInterruptedAtEveryStep(t *testing.T) {
	s := newSubject(t)
	needStrace(t)
	s.survives("nothing at all")
	started := time.Now()
	for i, p := range points() {
		if p.init || inGuest() && time.Since(started) > 20*time.Second {
			continue
		}
		for _, which := range p.which {
			// Five, not endlessly: Go answers each signal with a write(2) to
			// wake itself.
			for j, injection := range []string{
				fmt.Sprintf("signal=INT:when=%d", which), fmt.Sprintf("signal=INT:when=%d..%d", which, which+4), fmt.Sprintf("signal=TERM:when=%d", which),
			} {
				if i%3 != j && !longForm() {
					continue
				}
				what := fmt.Sprintf("after %q, %s of %s", p.done, injection, p.call)
				got := s.inject(s.run("true"), p.call, injection).wait()
				// -1: strace ends as the program did. 137: interrupted until it
				// was killed. 2: init got the signal, too, and ended like a Go
				// program that cannot kill itself.
				if !slices.Contains([]int{0, 2, 130, 137, 143, -1}, got.status) || strings.Contains(got.stderr, "error") {
					t.Errorf("%s: %+v", what, got)
				}
				noProcesses(t)
				if left := s.made(); len(left) > 0 {
					t.Errorf("%s: there is left: %q", what, left)
				}
			}
		}
		s.survives(p.done)
	}
	// Above, true may have ended before it gets its ^C, and each time if there
	// is just one processor. This one stays.
	if got := s.inject(s.run("sleep", "1000"), "close_range", "signal=INT:when=1").wait(); got.status != 130 {
		t.Errorf("nothing was interrupted: %+v", got)
	}
	s.survives("an interrupted command")
}

// A signal that reaches init itself before the command runs does not end init:
// the command gets it.
func TestSignalWhileInitStarts(t *testing.T) {
	s := newSubject(t)
	needStrace(t)
	for range 10 {
		// Only init mounts. Its status is 0 if the command was quicker.
		got := s.inject(s.run("true"), "mount", "signal=TERM:when=1").wait()
		if got.status != 143 && got.status != 0 || got.stderr != "" {
			t.Fatalf("%+v", got)
		}
	}
	s.survives("SIGTERM while init starts")
}

// kill starts a container and kills its parent at this point. It reports
// whether the point was reached.
func (s subject) kill(p point, which int) bool {
	s.t.Helper()
	for hold := held(); hold < 20*held(); hold *= 4 {
		if killed, seen := s.tryKill(p, which, hold); seen {
			return killed
		}
		s.t.Logf("once more, the machine was too busy to see that init is held: %q", p.done)
	}
	s.t.Fatalf("init was held three times and nobody saw it: %q", p.done)
	return false
}

// tryKill also reports whether we came in time to see init held.
func (s subject) tryKill(p point, which int, hold time.Duration) (killed, seen bool) {
	s.t.Helper()
	what := fmt.Sprintf("SIGKILL after %q, at call %d of %s", p.done, which, p.call)
	command, injection := []string{"true"}, fmt.Sprintf("signal=KILL:when=%d", which)
	if p.init {
		// Init is held for a while before the call. (SIGSTOP would do, too, but
		// strace 6.1 loses threads that are stopped and killed at once.) If
		// nothing stops init, what it starts afterwards stays.
		command, injection = []string{"sleep", "1000"}, fmt.Sprintf("delay_enter=%d:when=%d", hold.Microseconds(), which)
	}
	l := s.inject(s.run(command...), p.call, injection)
	seen = !p.init || l.signalHeld(syscall.SIGKILL, children)
	got := l.wait()
	killed = got.status == -1 // strace ends as the program did
	if !killed && got != (outcome{}) && got.status != 137 {
		s.t.Errorf("%s: %+v", what, got)
	}
	s.survives(what)
	return killed, seen
}

// held returns how long init is held at first.
func held() time.Duration {
	if inGuest() { // it must see it in time
		return 2 * time.Second
	}
	return 300 * time.Millisecond
}

// signalHeld sends the program, strace's child, one signal once one of these
// processes is held, that is, once a thread has been stopped for longer than
// strace takes to look at it. If we come too late to see that, it kills the
// program and returns false.
func (l *launched) signalHeld(sig syscall.Signal, these func(program int) []int) (seen bool) {
	stopped, late := 0, time.Now().Add(patience-10*time.Second)
	poll(l.t, "a process is held", func() bool {
		if time.Now().After(late) {
			for _, program := range children(l.cmd.Process.Pid) {
				send(l.t, syscall.SIGKILL, program)
			}
			return true
		}
		select {
		case <-l.ended:
			seen = true // the point does not exist
			return true
		default:
		}
		for _, program := range children(l.cmd.Process.Pid) {
			for _, pid := range these(program) {
				if stopped++; !isHeld(pid) {
					stopped = 0
				}
				if stopped > 10 {
					send(l.t, sig, program)
					seen = true
					return true
				}
			}
		}
		return false
	})
	return seen
}

func isHeld(pid int) bool {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, stat := range stats {
		if text, _ := os.ReadFile(stat); strings.Contains(string(text), ") t ") {
			return true
		}
	}
	return false
}

// send sends a signal to a process that may have ended.
func send(t testing.TB, sig syscall.Signal, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
}

// inject runs a command under strace, which injects something at one of its
// system calls.
func (s subject) inject(cmd *exec.Cmd, call, injection string) *launched {
	s.t.Helper()
	return launch(s.t, s.traced(cmd, call, injection))
}

func (s subject) traced(cmd *exec.Cmd, call, injection string) *exec.Cmd {
	s.t.Helper()
	self, err := os.Executable() // /proc/self/exe would be strace itself
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Args = append([]string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", "inject=" + call + ":" + injection, self}, cmd.Args[1:]...)
	if cmd.Path, err = exec.LookPath("strace"); err != nil {
		s.t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1") // so that nearly all calls are in one thread
	return cmd
}

func needStrace(t testing.TB) {
	t.Helper()
	_, err := exec.LookPath("strace")
	need(t, err == nil, "strace")
}

// survives checks what must hold whatever happened to the previous run.
func (s subject) survives(what string) {
	s.t.Helper()
	noProcesses(s.t)
	got := finish(s.t, s.run("echo", "alive"))
	if got.status != 0 || got.stdout != "alive\n" || strings.Contains(got.stderr, "error") {
		s.t.Errorf("after %s, the next run: %+v", what, got)
	}
	noProcesses(s.t)
	if left := s.made(); len(left) > 0 {
		s.t.Errorf("after %s, and the next run, there is left: %q", what, left)
	}
	if s.t.Failed() {
		s.t.FailNow() // or the leftovers would be blamed on the next run
	}
}

// Our own limit on processes and threads is reached, at every step. If Go's
// runtime cannot get a thread it gives up; otherwise the program reports it.
func TestForkFails(t *testing.T) {
	s := newSubject(t)
	s.survives("nothing at all") // and has enabled the controllers that it needs
	mount := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(mount); err != nil {
		mount = "/sys/fs/cgroup" // version 2
	}
	dir := fmt.Sprintf("%s/go-docker-test-fork.%d", mount, os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer poll(t, "the cgroup is empty and removed", func() bool { return os.Remove(dir) == nil })
	_, err := os.Stat(dir + "/pids.max")
	need(t, err == nil, "the pids controller")
	said, rounds := 0, 1
	for max := 1; ; max++ {
		if err := os.WriteFile(dir+"/pids.max", []byte(fmt.Sprint(max)), 0o644); err != nil {
			t.Fatal(err)
		}
		got := finish(t, throughShell(s.run("echo", "alive"), "echo $$ >"+dir+`/cgroup.procs && exec "$@"`))
		what := fmt.Sprintf("at most %d processes and threads: %d, %.300s", max, got.status, got.stderr)
		if got.status >= container.RuntimeError && strings.Contains(got.stderr, "resource temporarily unavailable") {
			said++
		} else if got.status != 0 && !strings.Contains(got.stderr, "newosproc") && !strings.Contains(got.stderr, "pthread_create") {
			t.Error(what)
		}
		s.survives(what)
		if got == (outcome{0, "alive\n", ""}) {
			// Whether the program or the runtime fails to get the last thread
			// is a matter of chance.
			if said > 0 || rounds == 20 {
				break
			}
			rounds, max = rounds+1, 0
		}
	}
	if said == 0 {
		t.Error("the program itself has never said that it cannot fork")
	}
}

// Without memory, Go's runtime ends the program, or the kernel's OOM killer
// sends SIGKILL. Either way the program cannot clean up, and what it has made
// stays for the next run.
func TestOutOfMemory(t *testing.T) {
	s := newSubject(t)
	needStrace(t)
	step, failed := 6, 0
	if inGuest() {
		step = 40
	}
	for n := 1; ; n += step {
		got := s.inject(s.run("echo", "alive"), "mmap", fmt.Sprintf("error=ENOMEM:when=%d+", n)).wait()
		s.survives(fmt.Sprintf("no memory but the first %d mappings: %+v", n-1, got))
		if got.status == 0 {
			break
		}
		failed++
	}
	if failed == 0 {
		t.Error("it has always had enough")
	}
}

// Nobody reads the command's output.
func TestNoOutput(t *testing.T) {
	s := newSubject(t)
	for _, script := range []string{
		`exec "$@" >&-`, `exec "$@" <&- >&- 2>&-`, `exec "$@" >/dev/full`, `"$@" | true`, `exec "$@" >/dev/full 2>/dev/full`,
	} {
		cmd := throughShell(s.run("sh", "-c", "echo deaf; echo ears >&2"), script)
		if got := finish(t, cmd); got.status > 1 || got.stdout != "" || strings.Contains(got.stderr, "goroutine") {
			t.Errorf("%s: %+v", script, got)
		}
		s.survives(script)
	}
}

// The container is asked to end, once or several times, by a signal that the
// command does not handle, obeys or ignores.
func TestAskedToEnd(t *testing.T) {
	s := newSubject(t)
	const ready = "echo ready; while :; do sleep 0.01; done"
	for _, test := range []struct {
		script string
		sent   []syscall.Signal
		status int
	}{
		{ready, []syscall.Signal{syscall.SIGINT}, 130},
		{ready, []syscall.Signal{syscall.SIGTERM}, 143},
		{ready, []syscall.Signal{syscall.SIGHUP}, 129},
		{"trap 'n=1$n; echo $n; [ $n != 11 ] || exit 5' INT; " + ready, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 5},
		{"trap 'n=1$n; echo $n; [ $n != 11 ] || exit 6' INT TERM; " + ready, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}, 6},
		{"trap 'n=1$n; echo $n' INT TERM; " + ready, []syscall.Signal{syscall.SIGINT, syscall.SIGINT, syscall.SIGTERM}, 137},
		{"trap 'n=1$n; echo $n' TERM; " + ready, []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}, -1},
	} {
		c := launch(t, s.run("sh", "-c", test.script))
		c.says("ready\n")
		for i, sig := range test.sent {
			if i > 0 {
				c.says(strings.Repeat("1", i) + "\n")
			}
			c.signal(sig)
		}
		if got := c.wait(); got.status != test.status {
			t.Errorf("%v to %q: %+v, want status %d", test.sent, test.script, got, test.status)
		}
		s.survives(fmt.Sprint(test.sent))
	}
}

// Many at the same time: each gets its own output, and none disturbs another.
func TestManyAtOnce(t *testing.T) {
	s := newSubject(t)
	n := 20
	if longForm() {
		n = 200
	}
	var all []*launched
	for i := range n {
		all = append(all, launch(t, s.run("echo", fmt.Sprint("container ", i))))
	}
	for i, c := range all {
		c.wait().want(t, fmt.Sprintf("container %d\n", i))
	}
	s.survives(fmt.Sprint(n, " at once"))
}

// minus returns the elements of a that are not in b.
func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// changedMounts are those that are new and those that are gone. But removing a
// directory also removes what is mounted on it from every mount namespace,
// rmdir(2), and others on this machine may do that meanwhile.
func changedMounts(before, after string) (changed []string) {
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, mount := range minus(is, was) {
		changed = append(changed, "new mount: "+mount)
	}
	for _, mount := range minus(was, is) {
		if _, err := os.Stat(strings.Fields(mount)[4]); err == nil {
			changed = append(changed, "mount that is gone: "+mount)
		}
	}
	return changed
}

// throughShell makes a shell script start cmd, which it finds as "$@".
func throughShell(cmd *exec.Cmd, script string) *exec.Cmd {
	self, err := os.Executable() // in the shell, /proc/self/exe would be the shell
	if err != nil {
		panic(err)
	}
	cmd.Args = append([]string{"sh", "-c", script, "sh", self}, cmd.Args[1:]...)
	cmd.Path, cmd.Err = exec.LookPath("sh")
	return cmd
}
