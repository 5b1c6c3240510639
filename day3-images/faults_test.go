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

	"example.com/go-docker/day3-images/container"
)

// What may go wrong from outside, at every step: the program is killed, may not
// fork, gets no memory, has nowhere to write. Afterwards no process of it is
// left, the next run works, and when that has ended, so is everything else:
// cgroups, mounts, files. With its processes and mounts the namespaces are gone,
// because nothing else holds one. namespaces(7)
//
// strace(1) does it, without any help from the program: it changes a system
// call or sends a signal when the call comes.

// A subject is a chapter's program, as the tests of faults see it.
type subject struct {
	t    testing.TB
	run  func(command ...string) *exec.Cmd // a container, within limits if there are any
	made func() []string                   // what of containers there is, but for processes
}

// A point is a step of the sequence that starts and stops a container. It is
// known by the system call that comes next; by which ones of them, because a
// thread counts its own, and how many come before depends on the machine.
type point struct {
	done  string // before
	call  string
	which []int
	init  bool // a call of init's: that is held there while its parent is killed
}

// longForm tells whether to do the long form: 1,000 runs in all chapters together.
func longForm() bool { return os.Getenv("GO_DOCKER_LONG") == "1" }

const longRuns = 334

// inGuest tells whether this is a virtual machine, which may take twenty times
// as long. The real one has done all of it.
func inGuest() bool { return os.Getenv("GO_DOCKER_VM") != "" }

func TestKilledAtEveryStep(t *testing.T) {
	s := newSubject(t)
	needStrace(t)
	s.survives("nothing at all")
	points := points()
	started, runs, hits := time.Now(), 0, make([]int, len(points))
	for round := 0; round == 0 || runs < longRuns && longForm(); round++ {
		for i, p := range points {
			for try := range p.which {
				which := p.which[(round+try)%len(p.which)]
				runs++
				if s.kill(p, which) {
					hits[i]++
					break
				}
				// There are not so many on this machine. The run has just ended well.
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

// ^C at every step of the parent's, ^C again and again, and SIGTERM: nothing is
// left as soon as it has ended, not only after the next run. The long form does
// all of them at each step, the short one takes turns.
func TestInterruptedAtEveryStep(t *testing.T) {
	s := newSubject(t)
	needStrace(t)
	s.survives("nothing at all")
	started, interrupted := time.Now(), 0
	for i, p := range points() {
		if p.init || inGuest() && time.Since(started) > 20*time.Second {
			continue
		}
		for _, which := range p.which {
			// Five, and not for ever: Go answers a signal with a write(2) to wake itself.
			for j, injection := range []string{
				fmt.Sprintf("signal=INT:when=%d", which), fmt.Sprintf("signal=INT:when=%d..%d", which, which+4), fmt.Sprintf("signal=TERM:when=%d", which),
			} {
				if i%3 != j && !longForm() {
					continue
				}
				what := fmt.Sprintf("after %q, %s of %s", p.done, injection, p.call)
				got := s.inject(s.run("true"), p.call, injection).wait()
				// -1: strace ends as the program did. 137: interrupted until it was killed.
				// 2: init got it, too, and ended as a Go program does that cannot kill itself.
				if !slices.Contains([]int{0, 2, 130, 137, 143, -1}, got.status) || strings.Contains(got.stderr, "error") {
					t.Errorf("%s: %+v", what, got)
				}
				if got.status != 0 {
					interrupted++
				}
				noProcesses(t)
				if left := s.made(); len(left) > 0 {
					t.Errorf("%s: there is left: %q", what, left)
				}
			}
		}
		s.survives(p.done)
	}
	if interrupted == 0 {
		t.Error("nothing was interrupted")
	}
}

// kill starts a container and kills its parent at this point. It reports
// whether the point was reached.
func (s subject) kill(p point, which int) bool {
	s.t.Helper()
	for range 3 {
		if killed, seen := s.tryKill(p, which); seen {
			return killed
		}
		s.t.Logf("once more, the machine was too busy to see that init is held: %q", p.done)
	}
	s.t.Fatalf("init was held three times and nobody saw it: %q", p.done)
	return false
}

// tryKill also reports whether we were in time to see init held.
func (s subject) tryKill(p point, which int) (killed, seen bool) {
	s.t.Helper()
	what := fmt.Sprintf("SIGKILL after %q, at call %d of %s", p.done, which, p.call)
	command, injection := []string{"true"}, fmt.Sprintf("signal=KILL:when=%d", which)
	if p.init {
		// Init is held for a while before the call. (A SIGSTOP would do that, too,
		// but strace 6.1 loses threads that are stopped and killed at once.) What
		// it starts later, if nobody stops it, stays.
		command, injection = []string{"sleep", "1000"}, fmt.Sprintf("delay_enter=%d:when=%d", held().Microseconds(), which)
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

// held is how long init is held.
func held() time.Duration {
	if inGuest() { // which has to see it in time
		return 2 * time.Second
	}
	return 300 * time.Millisecond
}

// signalHeld sends the program, strace's child, one signal when one of these
// processes of it is held: when a thread has been stopped for longer than strace
// takes for a look. It reports false if we came too late to see that, and then
// kills the program.
func (l *launched) signalHeld(sig syscall.Signal, these func(program int) []int) (seen bool) {
	stopped, late := 0, time.Now().Add(20*held()+5*time.Second)
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

// inject runs a command under strace, which does something to one of its
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
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1") // nearly all calls are then one thread's
	return cmd
}

func needStrace(t testing.TB) {
	t.Helper()
	_, err := exec.LookPath("strace")
	need(t, err == nil, "strace")
}

// survives checks what must hold whatever has happened to the run before.
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
		s.t.FailNow() // what is left would be blamed on the next
	}
}

// A limit on our own processes and threads is reached, at every step. Where
// Go's runtime does not get a thread it gives up; else the program says so.
func TestForkFails(t *testing.T) {
	s := newSubject(t)
	s.survives("nothing at all") // and has handed on the controllers that it needs
	mount := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(mount); err != nil {
		mount = "/sys/fs/cgroup" // version 2
	}
	dir := fmt.Sprintf("%s/go-docker-test-fork.%d", mount, os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	}()
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
			// Who is in need of the thread that there is not, the program or the
			// runtime, is chance where both are at work.
			if said > 0 || rounds == 5 {
				break
			}
			rounds, max = rounds+1, 0
		}
	}
	if said == 0 {
		t.Error("the program itself has never said that it cannot fork")
	}
}

// Go's runtime ends the program when it gets no memory, and the kernel's OOM
// killer sends SIGKILL: nobody is asked, and what is made then stays for the
// next run.
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

// Nobody hears what the command says.
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

// Somebody wants it to end, once or twice, and the command does not mind, does
// as it is told, or does not listen.
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

// Many at the same time: each gets what is its own, and none is in the way of
// another.
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

// minus are the elements of a that are not in b.
func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// throughShell has a shell script start cmd, which it finds as "$@".
func throughShell(cmd *exec.Cmd, script string) *exec.Cmd {
	self, err := os.Executable() // in the shell, /proc/self/exe would be the shell
	if err != nil {
		panic(err)
	}
	cmd.Args = append([]string{"sh", "-c", script, "sh", self}, cmd.Args[1:]...)
	cmd.Path, cmd.Err = exec.LookPath("sh")
	return cmd
}
