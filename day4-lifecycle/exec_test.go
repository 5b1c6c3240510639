package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A command started by exec has the same as the container's own: cgroups,
// namespaces, capabilities, user, environment, limits.
func TestExecIsInside(t *testing.T) {
	w := newWorld(t)
	flags := []string{"-e", "A=1", "-u", "ann:team", "-w", "/tmp", "-m", "64m", "--hostname", "inside"}
	if hasCapability(t, unix.CAP_SYS_RESOURCE) {
		flags = append(flags, "--ulimit", "nofile=77:88")
	}
	w.ok(append(append([]string{"run", "-d", "--name", "web"}, flags...), "box", "sleep", "1000")...)
	facts := `id; pwd; hostname; env | grep -v PWD; ulimit -Sn; ulimit -Hn; grep ^Cap /proc/self/status; grep NoNewPrivs /proc/self/status; cat /proc/self/cgroup; cat /proc/self/oom_score_adj
for ns in uts ipc pid mnt net; do readlink /proc/self/ns/$ns; done`
	own := w.do(append(append([]string{"run", "--rm"}, flags...), "box", "sh", "-c", facts)...)
	got := w.do("exec", "web", "sh", "-c", facts)
	namespaces := regexp.MustCompile(`(?m)^[a-z]+:\[\d+\]\n`)
	if own.status != 0 || namespaces.ReplaceAllString(got.stdout, "") != namespaces.ReplaceAllString(own.stdout, "") {
		t.Errorf("exec sees\n%s%s\nand the command of such a container\n%s%s", got.stdout, got.stderr, own.stdout, own.stderr)
	}
	s := w.state("web")
	for _, ns := range []string{"uts", "ipc", "pid", "mnt", "net"} {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", s.PID, ns))
		if err != nil || !strings.Contains(got.stdout, link) {
			t.Errorf("%s is not in\n%s (%v)", link, got.stdout, err)
		}
	}
	// Seen from outside, it is in the same cgroups, and in the same cgroup
	// namespace or one with the same root.
	w.ok("exec", "-d", "web", "sleep", "1001")
	w.until("two processes are in the cgroup", func() bool { return strings.Count(w.do("top", "web").stdout, "sleep") == 2 })
	pids := strings.Fields(w.ok("top", "web", "-eo", "pid"))[1:]
	if a, b := w.read("/proc/"+pids[0]+"/cgroup"), w.read("/proc/"+pids[1]+"/cgroup"); a != b || !strings.Contains(a, testParent) {
		t.Errorf("cgroups of the command:\n%s and of exec's:\n%s", a, b)
	}
	for args, want := range map[string]string{
		"-u root web id -u":                                 "0",
		"-u 12:34 web id -g":                                "34",
		"-w / web pwd":                                      "/",
		"-e A=2 -e B=3 web sh -c echo$IFS$A$B":              "23",
		"-e FROM=exec web sh -c echo$IFS$FROM":              "exec",
		"web sh -c echo$IFS$FROM":                           "image",
		"-u root web sh -c echo$IFS$HOME":                   "/home/ann",
		"--env NO_SUCH_VARIABLE web sh -c echo$IFS$NO_SUCH": "",
	} {
		want = strings.Replace(want, "/home/ann", "/root", 1)
		if got := w.ok(append([]string{"exec"}, strings.Fields(args)...)...); got != want {
			t.Errorf("exec %s: %q, want %q", args, got, want)
		}
	}
}

// hasCapability reports whether root has a capability here.
func hasCapability(t *testing.T, capability int) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}

// The umask is Docker's and not that of who started the container.
func TestExecUmask(t *testing.T) {
	w := newWorld(t)
	defer syscall.Umask(syscall.Umask(0o077))
	w.ok("run", "-d", "--name", "web", "-w", "/made", "box", "sleep", "1000")
	if got := w.do("exec", "-u", "1000", "web", "sh", "-c", "umask; stat -c %a ."); got != (outcome{0, "0022\n755\n", ""}) {
		t.Errorf("%+q", got)
	}
}

func TestExecStatusAndStreams(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
	for status, script := range map[int]string{0: "true", 9: "exit 9", 143: "kill -TERM $$", 137: "kill -KILL $$"} {
		if got := w.do("exec", "web", "sh", "-c", "echo out; echo err >&2; "+script); got != (outcome{status, "out\n", "err\n"}) {
			t.Errorf("%s: %+q", script, got)
		}
	}
	cmd := w.command("exec", "-i", "web", "sh", "-c", "wc -c; echo end")
	cmd.Stdin = bytes.NewReader(make([]byte, 3<<20))
	if got := w.finish(cmd); got != (outcome{0, "3145728\nend\n", ""}) {
		t.Errorf("3 MiB of input: %+q", got)
	}
	if got := w.do("exec", "web", "cat"); got != (outcome{}) {
		t.Errorf("without -i: %+q", got)
	}
	// exec's output is not part of the log.
	if got := w.do("logs", "web"); got != (outcome{}) {
		t.Errorf("logs: %+q", got)
	}
	// Signals to the client are for the command, and kill -9 leaves it running.
	cmd = w.command("exec", "web", "sh", "-c", "trap 'exit 6' USR1; echo $$ >/tmp/pid; while :; do sleep 0.02; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.until("it runs", func() bool { return w.do("exec", "web", "test", "-s", "/tmp/pid").status == 0 })
	_ = cmd.Process.Signal(syscall.SIGUSR1)
	if _ = cmd.Wait(); statusOf(cmd) != 6 {
		t.Errorf("status %d", statusOf(cmd))
	}
	cmd = w.command("exec", "web", "sh", "-c", "echo $$ >/tmp/pid2; sleep 0.3; echo done >/tmp/done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.until("it runs", func() bool { return w.do("exec", "web", "test", "-s", "/tmp/pid2").status == 0 })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	w.until("it has gone on to its end", func() bool { return w.do("exec", "web", "test", "-s", "/tmp/done").status == 0 })
	// It ends when the container ends.
	cmd = w.command("exec", "web", "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.until("it runs", func() bool { return strings.Count(w.do("top", "web").stdout, "sleep") == 2 })
	w.ok("kill", "web")
	if _ = cmd.Wait(); statusOf(cmd) != 137 {
		t.Errorf("status %d", statusOf(cmd))
	}
}

// The trap of setns(2): a thread that shares its root directory with others
// takes them along into the container. (Try it: without Unshare(CLONE_FS) in
// join/join.go this fails.) Afterwards every thread of the shim has the host's
// root and namespaces, and none is left over.
func TestExecLeavesNoThreadInside(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
	shim := w.state("web").ShimPID
	host, err := os.Stat("/")
	if err != nil {
		t.Fatal(err)
	}
	count := func() (fds, threads int) {
		for _, kind := range []string{"fd", "task"} {
			all, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", shim, kind))
			if err != nil {
				t.Fatal(err)
			}
			fds, threads = threads, len(all)
		}
		return fds, threads
	}
	many := max(20, times(100))
	for range many / 2 { // until the runtime has all the threads that it needs, or nearly
		w.ok("exec", "web", "true")
	}
	fds, threads := count()
	for range many {
		w.ok("exec", "web", "true")
	}
	// Not one descriptor may stay. Of threads the runtime keeps as many as were ever
	// busy at once, which nothing bounds; but if each exec left one, it would show.
	w.until(fmt.Sprintf("of %d descriptors and %d threads there are no more, after %d times exec", fds, threads, many), func() bool {
		fdsAfter, threadsAfter := count() // the client's end comes before that of the shim's work
		return fdsAfter <= fds && threadsAfter < threads+many/2
	})
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", shim))
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if root, err := os.Stat(task + "/root/"); err != nil || !os.SameFile(root, host) {
			t.Errorf("%s is in another root: %v", task, err)
		}
		for _, ns := range []string{"mnt", "uts", "ipc", "net", "pid_for_children", "cgroup"} {
			ours, _ := os.Readlink("/proc/self/ns/" + ns)
			if theirs, err := os.Readlink(task + "/ns/" + ns); err != nil || theirs != ours {
				t.Errorf("%s is in %s, and we in %s: %v", task, theirs, ours, err)
			}
		}
		if text := w.read(task + "/cgroup"); strings.Contains(text, testParent) {
			t.Errorf("%s is in the container's cgroup:\n%s", task, text)
		}
	}
}

// exec while the container ends: the command runs inside or not at all, never
// on the host.
func TestExecWhileItEnds(t *testing.T) {
	w := newWorld(t)
	proof := "/tmp/go-docker-proof." + strconv.Itoa(os.Getpid())
	// It must end while exec is at work, however long that takes on this
	// machine.
	w.ok("run", "-d", "--name", "clock", "box", "sleep", "1000")
	before := time.Now()
	w.ok("exec", "clock", "true")
	took := time.Since(before)
	w.ok("rm", "-f", "clock")
	ran, refused := 0, 0
	rounds := times(60)
	for i := 0; i < rounds || i < 10*rounds && (ran == 0 || refused == 0); i++ { // the busier the machine, the longer it takes
		life := took/2 + 2*took*time.Duration(i)/time.Duration(rounds)
		w.ok("run", "-d", "--name", "web", "box", "usleep", strconv.FormatInt(life.Microseconds(), 10))
		var all sync.WaitGroup
		var mu sync.Mutex
		for range 3 {
			all.Go(func() {
				for {
					got := w.do("exec", "web", "sh", "-c", "touch "+proof)
					mu.Lock()
					switch got.status {
					case 0:
						ran++
					case 1, 137:
						refused++
					default:
						t.Errorf("%+q", got)
					}
					mu.Unlock()
					if got.status != 0 {
						return
					}
				}
			})
		}
		all.Wait()
		if _, err := os.Stat(proof); err == nil {
			os.Remove(proof)
			t.Fatal("it has run on the host")
		}
		if s := w.state("web"); s.Live() || s.ExitCode != 0 {
			w.until("it ends", func() bool { return !w.state("web").Live() })
		}
		w.ok("rm", "web")
	}
	if ran == 0 || refused == 0 {
		t.Errorf("%d ran and %d were refused: this has tested nothing", ran, refused)
	}
}

// A limit on processes applies to exec, too, and exceeding it gives a single
// line of error.
func TestExecLimits(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "--pids-limit", "4", "box", "sh", "-c", "sleep 1000 & sleep 1000 & wait")
	w.until("it is full", func() bool { return strings.Count(w.do("top", "web").stdout, " sleep 1000\n") == 2 }) // and not the shell's own line
	w.fails(1, "resource temporarily unavailable", "exec", "web", "true")
	w.ok("stop", "-t", "0", "web")
	// Resource limits, as root: the shim keeps its own.
	w.ok("run", "-d", "--name", "few", "--ulimit", "nofile=77:88", "box", "sleep", "1000")
	if got := w.ok("exec", "few", "sh", "-c", "ulimit -Sn; ulimit -Hn"); got != "77\n88" {
		t.Errorf("limits %q", got)
	}
	if limits := w.read(fmt.Sprintf("/proc/%d/limits", w.state("few").ShimPID)); regexp.MustCompile(`Max open files +77`).MatchString(limits) {
		t.Errorf("the shim has\n%s", limits)
	}
	if got := w.ok("exec", "-u", "ann", "few", "sh", "-c", "ulimit -Sn; ulimit -Hn; id -u"); got != "77\n88\n1000" {
		t.Errorf("another user's limits %q", got)
	}
	w.fails(127, "not found", "exec", "few", "no-such")
}
