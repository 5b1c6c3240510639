package steps_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const mib = 1 << 20

// v2 says whether the limits are set in version 2 here. There its root has to hand the controllers on.
func v2(t *testing.T) bool {
	t.Helper()
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		return false
	}
	write(t, "/sys/fs/cgroup/cgroup.subtree_control", "+cpu +memory +pids")
	return true
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestHierarchy(t *testing.T) {
	needRoot(t)
	got := run(t, rung(t, "01-hierarchy.sh"))
	got.ends(t, 0)
	if !strings.Contains(got.out, "no v1 hierarchies") || !nested() {
		for _, file := range []string{"cgroup.clone_children", "cgroup.procs", "cgroup.sane_behavior", "notify_on_release", "release_agent", "tasks"} {
			got.has(t, `^`+regexp.QuoteMeta(file)+`$`)
		}
		got.has(t, `^\d+:name=go-docker-step\.`+strconv.Itoa(got.pid)+`:/$`)
	}
	if strings.Contains(read(t, "/proc/self/mountinfo"), " - cgroup2 ") {
		got.has(t, `^cgroup.subtree_control$`, `^0::/`)
	}
}

// nested says whether this is a container, in which the kernel makes no hierarchies.
func nested() bool { return strings.Contains(os.Getenv("GO_DOCKER_VM"), "nested") }

func TestChildren(t *testing.T) {
	needRoot(t)
	got := run(t, rung(t, "02-children.sh"))
	got.ends(t, 0)
	if !nested() {
		got.has(t, `^\d+:name=.*:/cgroup1$`, `^\$ echo 1 > .*\n1$`, `^rmdir: .*cgroup1.*busy`, `^rm: .*tasks.*not permitted$`)
		if files := got.after(t, "$ ls cgroup1"); files != "cgroup.clone_children\ncgroup.procs\nnotify_on_release\ntasks" {
			t.Errorf("files of a child cgroup: %q", files)
		}
	}
	if v2(t) {
		got.has(t, `subtree_control\n.*echo: .*busy$`, `leaf/cgroup.procs.*\n\$ /bin/echo .*cgroup.procs\n.*echo: .*busy$`)
	}
}

func TestDefaultHierarchies(t *testing.T) {
	needRoot(t)
	got := run(t, rung(t, "03-default-hierarchies.sh"))
	got.ends(t, 0)
	rows := regexp.MustCompile(`(?m)^(cpu|cpuset|memory|pids): (/.*)$`).FindAllStringSubmatch(got.out, -1)
	if len(rows) < 2 {
		t.Errorf("not even cpu and pids are found:\n%s", got.out)
	}
	for _, row := range rows { // where the script was is where we are
		var st unix.Statfs_t
		if err := unix.Statfs(row[2], &st); err != nil || st.Type != unix.CGROUP_SUPER_MAGIC && st.Type != unix.CGROUP2_SUPER_MAGIC {
			t.Errorf("%s: %v, file system %#x", row[0], err, st.Type)
			continue
		}
		if procs := "\n" + read(t, row[2]+"/cgroup.procs") + "\n"; !strings.Contains(procs, "\n"+strconv.Itoa(os.Getpid())+"\n") {
			t.Errorf("%s: we are not in there", row[0])
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	needRoot(t)
	unlimited := "9223372036854771712"
	if v2(t) {
		unlimited = "max"
	}
	got := run(t, rung(t, "04-memory-limit.sh"))
	got.ends(t, 0)
	got.has(t, `^104857600$`, `^`+unlimited+`$`)
	if n := len(regexp.MustCompile(`(?m)^Killed\nexit status 137$\n.*\noom_kill 1$`).FindAllString(got.out, -1)); n != 2 {
		t.Errorf("%d hogs have been killed for lack of memory, not two:\n%s", n, got.out)
	}
	if row := regexp.MustCompile(`(?m)(?:peak|max_usage_in_bytes)\n(\d+)$`).FindStringSubmatch(got.out); row != nil {
		atLimit(t, row[1])
	} else if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		t.Errorf("no peak in\n%s", got.out)
	}
}

// atLimit: a peak of 100 MiB, but for the last few pages, which the kernel charges and lets go in batches.
func atLimit(t *testing.T, peak string) {
	t.Helper()
	if n, err := strconv.Atoi(peak); err != nil || n < 99*mib || n > 101*mib {
		t.Errorf("the peak is %q bytes, not about %d: it was not this limit that killed", peak, 100*mib)
	}
}

// A limit below what is in use: v1 refuses it, v2 takes it and kills.
func TestLimitBelowUsage(t *testing.T) {
	needRoot(t)
	root, usage, limit := "/sys/fs/cgroup/memory", "memory.usage_in_bytes", "memory.limit_in_bytes"
	if v2(t) {
		root, usage, limit = "/sys/fs/cgroup", "memory.current", "memory.max"
	}
	box := makeCgroup(t, root, "")
	if v2(t) {
		_ = os.WriteFile(box+"/memory.swap.max", []byte("0"), 0) // not there if the kernel does not count swap
	} else {
		write(t, box+"/memory.swappiness", "0")
	}
	hog := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs"; exec dd if=/dev/zero bs=50M count=1 status=none`, box)
	full, err := hog.StdoutPipe() // never read: it waits with its 50 MiB
	if err == nil {
		err = hog.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for end := time.Now().Add(patience()); ; time.Sleep(10 * time.Millisecond) {
		if n, _ := strconv.Atoi(read(t, box+"/"+usage)); n >= 50*mib {
			break
		}
		if time.Now().After(end) {
			t.Fatal("dd does not get its 50 MiB")
		}
	}
	err = os.WriteFile(box+"/"+limit, []byte("10M"), 0)
	if v2(t) {
		_ = hog.Wait() // the status says it
		if err != nil || hog.ProcessState.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
			t.Errorf("memory.max: %v; the hog: %v", err, hog.ProcessState)
		}
		return
	}
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("memory.limit_in_bytes below what is in use: %v, not EBUSY", err)
	}
	_ = hog.Process.Kill()
	_ = hog.Wait()
}

// makeCgroup makes one that is gone when the test ends.
func makeCgroup(t *testing.T, hierarchy, suffix string) string {
	t.Helper()
	dir := filepath.Join(hierarchy, "go-docker-step."+strconv.Itoa(os.Getpid())+suffix)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeCgroup(t, dir) })
	return dir
}

func removeCgroup(t *testing.T, dir string) {
	t.Helper()
	var err error
	for range 1500 { // the dead leave a moment later
		if err = os.Remove(dir); err == nil || os.IsNotExist(err) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error(err)
}

// alone keeps others who run these tests from the one cgroup that all runs of 05-obvious share.
func alone(t *testing.T) (demo string) {
	t.Helper()
	lock, err := os.Open("/sys/fs/cgroup")
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	demo = "/sys/fs/cgroup/memory/go-docker-demo-memory"
	if v2(t) {
		demo = "/sys/fs/cgroup/go-docker-demo-memory"
	}
	for end := time.Now().Add(patience()); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(demo); os.IsNotExist(err) {
			return demo
		}
	}
	t.Fatalf("%s is there: is 05-obvious running, or was it killed?", demo)
	return ""
}

func peak(t *testing.T, dir string) string {
	t.Helper()
	for _, file := range []string{"/memory.peak", "/memory.max_usage_in_bytes"} {
		if text, err := os.ReadFile(dir + file); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}

// The four faults of 05-obvious. The first is a race: it is run until it has lost it.
func TestObvious(t *testing.T) {
	needRoot(t)
	demo := alone(t)
	t.Cleanup(func() { removeCgroup(t, demo) })
	var got result
	for try := 0; ; try++ {
		got = start(t, rung(t, "05-obvious")).wait(t)
		// With swap the hog may live inside its limit, too.
		if n, _ := strconv.Atoi(peak(t, demo)); strings.Contains(got.out, "the hog has 200 MiB") && n <= 99*mib {
			break
		}
		if try == 100 {
			t.Fatalf("the first fault does not show: the hog was limited each time:\n%s", got.out)
		}
		removeCgroup(t, demo)
	}
	// The second fault: a parent inside.
	if n := strings.Count(got.out, "outside, its pid is"); n < 2 {
		t.Errorf("the second fault does not show: there was %d parent:\n%s", n, got.out)
	}
	// The fourth, and because of it the third; the child that is left has no limit.
	if _, err := os.Stat(demo); err != nil {
		t.Errorf("the fourth fault does not show: %v", err)
	}
	p := start(t, rung(t, "05-obvious"))
	p.until(t, "the hog has 200 MiB") // the child that is left may need longer than wait leaves it
	got = p.wait(t)
	got.ends(t, 1)
	got.has(t, `^error: mkdir .*: file exists$`, `^the hog has 200 MiB$`)
}

func TestMeasure(t *testing.T) {
	needRoot(t)
	alone(t)
	got := run(t, rung(t, "06-measure.sh"))
	got.ends(t, 0)
	if n := len(regexp.MustCompile(`(?m)^# run \d: charged at most`).FindAllString(got.out, -1)); n != 5 {
		t.Errorf("%d runs of 05-obvious, not 5:\n%s", n, got.out)
	}
	got.has(t, `^error: mkdir .*: file exists$`, `^/sys/fs/cgroup/.*go-docker-demo-memory$`)
	peaks := regexp.MustCompile(`(?m)^at its peak the container had (\d+) bytes$`).FindAllStringSubmatch(got.out, -1)
	if len(peaks) != 2 {
		t.Fatalf("%d runs of 07-fixed, not 2:\n%s", len(peaks), got.out)
	}
	for _, p := range peaks {
		atLimit(t, p[1])
	}
}

// often is how many runs show that a race is gone.
func often() int {
	if testing.Short() || os.Getenv("GO_DOCKER_VM") != "" {
		return 3
	}
	return 20
}

func TestFixed(t *testing.T) {
	needRoot(t)
	v2(t)
	first := start(t, rung(t, "07-fixed")) // two at once have a cgroup each
	for range often() {
		got := run(t, rung(t, "07-fixed"))
		got.ends(t, 1)
		got.hasNot(t, "200 MiB")
		if m := regexp.MustCompile(`at its peak the container had (\d*) bytes`).FindStringSubmatch(got.out); m == nil {
			t.Errorf("no peak in %s", got.out)
		} else {
			atLimit(t, m[1])
		}
		if first != nil {
			got = first.wait(t)
			first = nil
			got.ends(t, 1)
			got.clean(t)
		}
	}
	leavesCgroups(t, 1, "07-fixed", "outside")
}

// leavesCgroups: the fault of all programs that remove their cgroups themselves. It is killed until that was in time.
func leavesCgroups(t *testing.T, want int, name, until string, args ...string) {
	t.Helper()
	for range 20 {
		p := start(t, rung(t, name, args...))
		p.until(t, until)
		if err := unix.Kill(p.Process.Pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		got := p.wait(t)
		if got.status != 128+9 {
			got.clean(t)
			continue
		}
		if strings.Contains(got.out, "at its peak") {
			continue // it was removing its cgroup already, or just had
		}
		for _, left := range got.left {
			if !strings.HasPrefix(left, "/sys/fs/cgroup/") {
				t.Errorf("after kill -9: %s", left)
			}
		}
		if len(got.left) != want {
			t.Errorf("the fault does not show: it has left %q", got.left)
		}
		return
	}
	t.Error("kill -9 was late each time")
}

func TestBornInside(t *testing.T) {
	needRoot(t)
	v2(t)
	for range often() {
		got := run(t, rung(t, "08-born-inside", "its", "arguments", "are", "ignored")) // the fault
		got.ends(t, 1)
		got.has(t, `^inside, my pid is 1$`)
		got.hasNot(t, "200 MiB")
		if m := regexp.MustCompile(`memory.*: (\d+)`).FindStringSubmatch(got.out); m == nil {
			t.Errorf("no peak in %s", got.out)
		} else {
			atLimit(t, m[1])
		}
	}
}

func TestMoreLimits(t *testing.T) {
	needRoot(t)
	hierarchies := 3
	if v2(t) {
		hierarchies = 1
	}
	const name = "09-more-limits"
	got := run(t, rung(t, name))
	got.ends(t, 1)
	got.hasNot(t, "200 MiB")
	got.has(t, `\boom_kill 1\b`)
	run(t, rung(t, name, "-m", "300m")).has(t, `^the hog has 200 MiB$`, `\boom_kill 0\b`)

	got = run(t, rung(t, name, "-pids", "9", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait"))
	got.ends(t, 1)
	got.has(t, `(?i)fork`, `^pids.events: max [1-9]`)

	// A busy machine may give it no more than its quota by itself, for a while.
	for try := 0; ; try++ {
		got = run(t, rung(t, name, "-cpus", "0.05", "timeout", "1", "sh", "-c", "while :; do :; done"))
		if regexp.MustCompile(`nr_throttled [1-9]`).MatchString(got.out) {
			break
		}
		if try == 10 {
			t.Errorf("it was not throttled:\n%s", got.out)
			break
		}
	}
	// The faults.
	run(t, rung(t, name, "sh", "-c", "exit 7")).ends(t, 1)
	leavesCgroups(t, hierarchies, name, "ready", "sh", "-c", "echo ready; sleep 600")
}
