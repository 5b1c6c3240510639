package steps_test

// What the tests of all ladders share: the same file in each chapter.
//
// Every rung is run as a reader runs it, and everything it leaves is found: the tests are the parent of all
// orphans below them, have namespaces of their own, and give each run a TMPDIR of its own.

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const boxed = "GO_DOCKER_STEPS_BOX" // set in the environment of tests that have their own mount namespace

func TestMain(m *testing.M) {
	if os.Geteuid() == 0 && os.Getenv(boxed) == "" {
		os.Exit(again())
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "prepare the tests of the steps:", err)
		os.Exit(1)
	}
	flag.Parse()
	status := m.Run()
	os.RemoveAll(scratch)
	if missed := notRun(); status == 0 && len(missed) > 0 {
		fmt.Fprintln(os.Stderr, "no test has run these steps:", missed)
		status = 1
	}
	os.Exit(status)
}

var namespaces uintptr = unix.CLONE_NEWNS // that the tests have of their own; day 5's have one more

// again runs this program in namespaces of its own. Go makes the mounts in them private.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), boxed+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "start the tests in namespaces of their own:", err)
		return 1
	}
	return max(cmd.ProcessState.ExitCode(), -cmd.ProcessState.ExitCode()) // -1: a signal
}

var scratch string // the programs, and a TMPDIR and the output of each run

func prepare() (err error) {
	// Orphans come to us instead of the machine's process 1, so what a rung leaves running is our child.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	if os.Getenv(boxed) != "" { // as systemd has it: on private mounts a leaked one would not show
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
			return err
		}
	}
	if scratch, err = os.MkdirTemp("", "go-docker-test."); err != nil {
		return err
	}
	return os.Chmod(scratch, 0o755) // rungs are run as nobody, too
}

// programs is the directory of the compiled rungs: $STEPS_BIN where there is no Go, else built once.
var programs = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("STEPS_BIN"); dir != "" {
		return dir, nil
	}
	dirs, err := filepath.Glob("[0-9][0-9]-*/main.go")
	if err != nil || len(dirs) == 0 {
		return "", err
	}
	args := []string{"build", "-o", scratch + "/bin/"}
	for _, dir := range dirs {
		args = append(args, "./"+filepath.Dir(dir))
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return scratch + "/bin", os.Chmod(scratch+"/bin", 0o755)
})

var called = map[string]bool{} // the rungs that tests have asked for

// rung is the command that runs a step: 01-uts.sh with sh, 08-new-names as the program it compiles to. With a
// TMPDIR in which it has to leave nothing.
func rung(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := os.Stat(name); err != nil {
		t.Fatal(err)
	}
	called[name] = true
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, name), args...)
	if strings.HasSuffix(name, ".sh") {
		cmd = exec.Command("sh", append([]string{name}, args...)...)
	}
	tmp, err := os.MkdirTemp(scratch, "tmp.")
	if err == nil {
		err = os.Chmod(tmp, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	if strings.HasSuffix(name, ".sh") {
		cmd.Env = append(cmd.Env, "STEPS_BIN="+dir)
	}
	return cmd
}

// notRun are the rungs that no test has asked for, after a run of all tests.
func notRun() (missed []string) {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return nil
		}
	}
	all, _ := filepath.Glob("[0-9][0-9]-*") // the pattern is well-formed
	for _, name := range all {
		if !called[name] && os.Geteuid() == 0 {
			missed = append(missed, name)
		}
	}
	return missed
}

// A result is what a rung has printed and left behind.
type result struct {
	out    string   // standard output and error
	status int      // as a shell reports it: 128 and the signal's number
	pid    int      // that it had
	left   []string // one line for everything it left; it is gone by now
}

// run runs a rung that must leave nothing.
func run(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	got := start(t, cmd).wait(t)
	got.clean(t)
	return got
}

func (r result) clean(t testing.TB) {
	t.Helper()
	for _, left := range r.left {
		t.Errorf("left behind: %s; it printed:\n%s", left, r.out)
	}
}

var running = map[int]bool{} // the rungs that tests have started and not waited for

// A process is a rung that is running.
type process struct {
	*exec.Cmd
	output *os.File
	mounts string // the mount table before it began
	timer  *time.Timer
}

// patience is the time that a rung has; an emulated processor is slow.
func patience() time.Duration {
	if os.Getenv("GO_DOCKER_VM") != "" {
		return 5 * time.Minute
	}
	return time.Minute
}

func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	output, err := os.CreateTemp(scratch, "out.")
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Stdout == nil {
		cmd.Stdout, cmd.Stderr = output, output
	}
	p := &process{Cmd: cmd, output: output, mounts: mountTable(t)}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running[cmd.Process.Pid] = true
	p.timer = time.AfterFunc(patience(), func() { _ = cmd.Process.Kill() })
	return p
}

// until waits for output that matches.
func (p *process) until(t testing.TB, pattern string) {
	t.Helper()
	for end := time.Now().Add(patience()); ; time.Sleep(10 * time.Millisecond) {
		out := p.text(t)
		if regexp.MustCompile(pattern).MatchString(out) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q has not printed %q but\n%s", p.Args, pattern, out)
		}
	}
}

func (p *process) text(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(p.output.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wait returns when the rung has ended, and removes what it left.
func (p *process) wait(t testing.TB) result {
	t.Helper()
	_ = p.Wait() // the status says it
	delete(running, p.Process.Pid)
	if !p.timer.Stop() {
		t.Errorf("%q has not ended after %v", p.Args, patience())
	}
	got := result{pid: p.Process.Pid, status: p.ProcessState.ExitCode()}
	if ws := p.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		got.status = 128 + int(ws.Signal())
	}
	got.left = append(orphans(), cgroups(got.pid)...)
	got.left = append(got.left, changedMounts(p.mounts, mountTable(t))...)
	for _, env := range p.Env {
		if tmp, is := strings.CutPrefix(env, "TMPDIR="+scratch); is {
			files, _ := filepath.Glob(scratch + tmp + "/*")
			got.left = append(got.left, files...)
		}
	}
	got.out = p.text(t)
	p.output.Close()
	return got
}

// A reader that goes away, as in sh 01-x.sh | head, leaves nothing either.
func TestReaderGoesAway(t *testing.T) {
	steps, _ := filepath.Glob("[0-9][0-9]-*.sh") // the pattern is well-formed
	for _, name := range steps {
		for _, lines := range []int{0, 1, 7} {
			t.Run(fmt.Sprint(name, " ", lines), func(t *testing.T) {
				reader, writer, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				cmd := rung(t, name)
				cmd.Stdout, cmd.Stderr = writer, writer
				p := start(t, cmd)
				writer.Close()
				for text := bufio.NewScanner(reader); lines > 0 && text.Scan(); lines-- {
				}
				reader.Close()
				p.wait(t).clean(t)
			})
		}
	}
}

func mountTable(t testing.TB) string {
	t.Helper()
	if os.Getenv(boxed) == "" {
		return "" // others mount in it, too
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// changedMounts are those that are new and those that are gone. But removing a directory also removes what is mounted
// on it from every mount namespace, rmdir(2), and others on this machine may do that meanwhile.
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

// minus returns the elements of a that are not in b.
func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// orphans are the processes that are our children now because the parent that started them has ended. They are
// killed: after a moment, in which they may be ending on their own. (It is counted, not timed: in a virtual machine that
// is held up for seconds, the time goes by for us but not for them.)
func orphans() (left []string) {
	for look := 0; ; look++ {
		alive := 0
		for _, pid := range children(os.Getpid()) {
			if running[pid] {
				continue
			}
			if found, _ := unix.Wait4(pid, nil, unix.WNOHANG, nil); found == pid {
				continue
			}
			alive++
			if look > 100 {
				command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				left = append(left, "process "+strings.TrimSpace(string(bytes.ReplaceAll(command, []byte{0}, []byte(" ")))))
				_ = unix.Kill(pid, unix.SIGKILL)
				_, _ = unix.Wait4(pid, nil, 0, nil)
			}
		}
		if alive == 0 {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// children are the processes whose parent is pid. proc_pid_stat(5)
func children(pid int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(strings.Split(path, "/")[2])
			pids = append(pids, child)
		}
	}
	return pids
}

// cgroups are those named after a rung that had this pid. They are removed, the innermost first.
func cgroups(pid int) (left []string) {
	for _, below := range []string{"/", "/*/", "/*/*/"} {
		name := "/sys/fs/cgroup" + below + "go-docker-step." + strconv.Itoa(pid)
		dirs, _ := filepath.Glob(name)
		more, _ := filepath.Glob(name + ".*") // not *, which would find those of a pid that starts like this one
		dirs = append(dirs, more...)
		for _, dir := range dirs {
			if real, err := filepath.EvalSymlinks(dir); err == nil && real == dir { // v1: cpu is a link to cpu,cpuacct
				left = append(left, dir)
			}
		}
	}
	for _, dir := range slices.Backward(left) {
		for range 500 {
			inner, _ := filepath.Glob(dir + "/*/")
			for _, d := range inner {
				_ = os.Remove(d)
			}
			if os.Remove(dir) == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return left
}

// has fails the test unless the output matches each pattern; ^ and $ are the ends of a line.
func (r result) has(t testing.TB, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(r.out) {
			t.Errorf("no %q in\n%s", pattern, r.out)
		}
	}
}

// hasNot fails the test if the output matches one of the patterns.
func (r result) hasNot(t testing.TB, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if regexp.MustCompile("(?m)" + pattern).MatchString(r.out) {
			t.Errorf("%q in\n%s", pattern, r.out)
		}
	}
}

func (r result) ends(t testing.TB, status int) {
	t.Helper()
	if r.status != status {
		t.Errorf("exit status %d, want %d; it printed:\n%s", r.status, status, r.out)
	}
}

// after returns the output lines between the line "$ COMMAND" or "# COMMAND" and the next command, joined.
func (r result) after(t testing.TB, command string) string {
	t.Helper()
	_, rest, found := strings.Cut("\n"+r.out, "\n"+command+"\n")
	if !found {
		t.Fatalf("no line %q in\n%s", command, r.out)
	}
	var lines []string
	for line := range strings.Lines(rest) {
		if strings.HasPrefix(line, "$ ") || strings.HasPrefix(line, "# ") {
			break
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return strings.Join(lines, "\n")
}

// needRoot skips the test for others; where GO_DOCKER_MUST_RUN=1 promises a whole machine, it fails.
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
