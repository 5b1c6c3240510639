package main

import (
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nothingLeft checks right after the program has ended, without waiting.
func nothingLeft(t *testing.T, after string) {
	t.Helper()
	if left := leftovers(t); len(left) > 0 {
		t.Fatalf("after %s: left behind: %q", after, left)
	}
}

func TestEveryEndLeavesNothing(t *testing.T) {
	kernelTest(t)
	for _, test := range []struct {
		args   []string
		status int
	}{
		{[]string{"true"}, 0},
		{[]string{"false"}, 1},
		{[]string{"sh", "-c", "kill -KILL $$"}, 137},
		{[]string{"/no/such/command"}, 127},
		{[]string{"/dev/null"}, 126},
		{[]string{"--init=false", "true"}, 0},
		{[]string{"--init=false", "/no/such/command"}, 127},
		{[]string{"--cpuset-cpus", "8191", "true"}, 125},
		{[]string{"-m", "100m", "--cpus", "0.5", "--cpuset-cpus", "0", "--pids-limit", "20", "true"}, 0},
	} {
		if got := finish(t, contained(t, test.args...)); got.status != test.status {
			t.Errorf("%q: %+v, want status %d", test.args, got, test.status)
		}
		nothingLeft(t, strings.Join(test.args, " "))
	}
}

// At the top of the hierarchy, where a run without --cgroup-parent makes its
// cgroups.
func TestDefaultPlace(t *testing.T) {
	kernelTest(t)
	c := begin(t, program(t, append([]string{"run"}, stay...)...))
	version, controllers := controllersHere(t)
	for _, name := range counters[version] {
		want := filepath.Join(controllers[name].Mount, "go-docker-"+c.ID)
		if got := c.Dirs[name]; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if _, err := os.Stat(want); err != nil {
			t.Error(err)
		}
	}
	c.end()
	for _, dir := range c.Cgroups {
		if _, err := os.Stat(dir); err == nil {
			t.Error("left behind:", dir)
		}
	}
}

func TestSignalsLeaveNothing(t *testing.T) {
	kernelTest(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		c := begin(t, contained(t, "sh", "-c", "ulimit -c 0; echo ready; exec sleep 1000"))
		c.signal(sig)
		if got, want := c.wait().status, 128+int(sig); got != want {
			t.Errorf("%v: status %d, want %d", sig, got, want)
		}
		nothingLeft(t, sig.String())
	}
}

// A command that ignores ^C is killed by the third.
func TestThirdInterruptLeavesNothing(t *testing.T) {
	kernelTest(t)
	c := begin(t, contained(t, "sh", "-c", "trap '' INT; trap 'echo alive' USR1; echo ready; while :; do sleep 0.01; done"))
	for i := range 3 - 1 {
		c.signal(syscall.SIGINT)
		c.signal(syscall.SIGUSR1) // two interrupts in quick succession would count as one
		c.says(strings.Repeat("alive\n", i+1))
	}
	c.signal(syscall.SIGINT)
	if got := c.wait(); got.status != 137 {
		t.Errorf("%+v", got)
	}
}

// typicalRun returns how long a container takes from start to end: the median
// of three, because anything may hold up one.
func typicalRun(t *testing.T) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 3 {
		started := time.Now()
		finish(t, contained(t, "true")).want(t, "")
		took = append(took, time.Since(started))
	}
	slices.Sort(took)
	return took[1]
}

// rounds counts to n, or as far as it gets in time on a slow, emulated machine.
func rounds(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		limit := 5 * time.Second
		if testing.Short() {
			limit = 2 * time.Second
		}
		started := time.Now()
		for i := 0; i < n && (i < n/10 || time.Since(started) < limit) && yield(i); i++ {
		}
	}
}

// moment returns the i-th of a sequence of moments between 0 and 1 that is
// evenly spread however many are used.
func moment(i int) float64 { return math.Mod(float64(i)*math.Phi, 1) }

// SIGTERM comes at any moment from before main to after the command's start.
func TestInterruptedStart(t *testing.T) {
	kernelTest(t)
	typical := float64(typicalRun(t))
	ends := map[int]int{}
	interrupt := func(pause float64) {
		c := launch(t, contained(t, "-m", "100m", "sleep", "1000"))
		time.Sleep(time.Duration(pause))
		c.signal(syscall.SIGTERM)
		got := c.wait()
		ends[got.status]++
		// -1: it came before the program could catch it.
		if got.status != 143 && got.status != -1 || got.stdout+got.stderr != "" {
			t.Errorf("after %v: %+v", time.Duration(pause), got)
		}
		nothingLeft(t, fmt.Sprintf("SIGTERM after %v (%+v)", time.Duration(pause), got))
	}
	for i := range rounds(150) {
		interrupt(1.3 * typical * moment(i))
	}
	// The machine may have become slower since. A signal that comes late enough
	// finds the command running.
	for pause := typical; ends[143] < 10 && !t.Failed(); pause *= 1.2 {
		interrupt(pause)
	}
	t.Logf("the ends are %v", ends)
}

// The same at the end: the signal comes while the program is cleaning up.
func TestInterruptedEnd(t *testing.T) {
	kernelTest(t)
	typical := float64(typicalRun(t))
	for i := range rounds(100) {
		c := launch(t, contained(t, "-m", "100m", "true"))
		time.Sleep(time.Duration(typical * (0.5 + moment(i))))
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if got := c.wait(); got.status != 143 && got.status > 0 || got.stderr != "" {
			t.Errorf("round %d: %+v", i, got)
		}
		nothingLeft(t, fmt.Sprintf("SIGTERM in round %d", i))
	}
}

func TestManyRunsLeaveNothing(t *testing.T) {
	kernelTest(t)
	n := 100
	if testing.Short() {
		n = 10
	}
	for i := range n {
		finish(t, contained(t, "-m", "100m", "--cpus", "0.5", "--pids-limit", "50", "sh", "-c", "sleep 1000 & echo "+fmt.Sprint(i))).want(t, fmt.Sprintf("%d\n", i))
		nothingLeft(t, fmt.Sprintf("run %d", i))
	}
}

// ownTree is shell code that makes cgroups below the container's own.
func ownTree(t *testing.T) string {
	t.Helper()
	version, controllers := controllersHere(t)
	script := "set -e\n"
	seen := map[string]bool{}
	for _, name := range counters[version] {
		h, ok := controllers[name]
		if !ok || seen[h.Mount] {
			continue
		}
		seen[h.Mount] = true
		script += fmt.Sprintf("cd %s/%s/go-docker-$HOSTNAME\n", h.Mount, testParent)
		script += "mkdir -p a/b/c a/d\n"
		script += "echo $$ >a/b/c/cgroup.procs\n"
	}
	if version == 2 { // a threaded cgroup has neither cgroup.kill nor cgroup.procs
		script += `mkdir -p e/f
echo threaded >e/f/cgroup.type
sh -c 'echo $$ >e/cgroup.procs; echo $$ >e/f/cgroup.threads; exec sleep 1000' &
until grep -q . e/f/cgroup.threads; do sleep 0.1; done
`
	}
	return script
}

// The container makes cgroups in its cgroup and has processes in them.
func TestNestedCgroups(t *testing.T) {
	kernelTest(t)
	for _, flags := range []string{"", "--mount"} { // --mount: only the cgroup holds the processes together
		c := begin(t, contained(t, append(strings.Fields(flags), "sh", "-c", ownTree(t)+"sleep 1000 & echo ready; sleep 1000")...))
		if nested := tree(c.Dirs["memory"], true); len(nested) < 5 {
			t.Errorf("only %q: this proves nothing", nested)
		}
		c.signal(syscall.SIGTERM) // ends the shell; the others stay
		c.wait()
		nothingLeft(t, "nested cgroups "+flags)
	}
}

// Without a PID namespace, only the cgroup's removal kills what init leaves
// behind.
func TestBackgroundProcesses(t *testing.T) {
	kernelTest(t)
	started := time.Now()
	finish(t, contained(t, "--mount", "sh", "-c", "sleep 1000 & sleep 1000 & setsid sleep 1000 & echo done")).want(t, "done\n")
	nothingLeft(t, "background processes")
	if took := time.Since(started); took > patience/2 {
		t.Errorf("took %v", took)
	}
}

// A process that forks the next one and ends, so that any list of processes is
// out of date; a crowd; and cgroups that come and go. The shell that says ready
// forks only one, first: once the cgroup is full it could not.
func TestForkLoop(t *testing.T) {
	kernelTest(t)
	for _, flags := range []string{"--pid --mount", "--mount"} {
		for name, script := range map[string]string{
			"moves": ownTree(t) + "(while :; do mkdir x; rmdir x; done 2>/dev/null) & echo ready; exec sleep 1000",
			"chase": "f() { f & }; (f; f; f; f) & echo ready; exec sleep 1000",
			"crowd": "while :; do (while :; do sleep 1000 & done); done & echo ready; exec sleep 1000",
		} {
			args := append(strings.Fields(flags), "--pids-limit", "40", "sh", "-c", script)
			cmd := contained(t, args...)
			c := begin(t, cmd)
			time.Sleep(50 * time.Millisecond)
			c.signal(syscall.SIGTERM)
			c.wait()
			nothingLeft(t, flags+" "+name)
		}
	}
}

// Both make the parent, and one of them removes it while the other is between
// two mkdirs.
func TestSharedParent(t *testing.T) {
	kernelTest(t)
	for range rounds(30) {
		var all []*launched
		for range 3 {
			all = append(all, launch(t, contained(t, "true")))
		}
		for _, c := range all {
			c.wait().want(t, "")
		}
		nothingLeft(t, "three at once")
	}
}
