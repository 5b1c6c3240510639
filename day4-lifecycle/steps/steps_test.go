package steps_test

import (
	"bytes"
	"encoding/json"
	"errors"
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

// times is how often something is tried that chance could get right.
func times(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

func TestSession(t *testing.T) {
	got := run(t, rung(t, "01-session.sh"))
	got.ends(t, 0)
	runs := regexp.MustCompile(`cat log.*\n`).Split(got.out, -1)
	if len(runs) != 3 {
		t.Fatalf("not two logs in\n%s", got.out)
	}
	row := regexp.MustCompile(`(?m)^ *(\d+) +(\d+) +(\S+) +sh$`)
	if m := row.FindStringSubmatch(runs[1]); m == nil || m[1] != m[2] || !strings.HasPrefix(m[3], "pts/") {
		t.Errorf("the first job is not in its parent's session, with a terminal: %q", m)
	}
	if !strings.Contains(runs[1], "SIGHUP") || strings.Contains(runs[1], "still here") {
		t.Errorf("the first job was not hung up:\n%s", runs[1])
	}
	rows := row.FindAllStringSubmatch(runs[2], -1)
	if len(rows) != 2 || rows[0][1] == rows[0][2] || rows[0][3] != "?" || rows[0][2] != rows[1][2] {
		t.Fatalf("the second job has no session of its own: %q", rows)
	}
	if rows[1][1] != strconv.Itoa(os.Getpid()) { // we are the subreaper
		t.Errorf("the orphan's parent is %s, not %d", rows[1][1], os.Getpid())
	}
	if strings.Contains(runs[2], "SIGHUP") || !strings.Contains(runs[2], "still here") {
		t.Errorf("the second job did not outlive its terminal:\n%s", runs[2])
	}
}

func TestStatus(t *testing.T) {
	got := run(t, rung(t, "02-status.sh"))
	got.ends(t, 0)
	got.has(t, `^ *\d+ ZN? +sh$`, `/stat\n1792$`, `^\$ rm busy; flock lock cat status\n7$`, `^[SR]N? +sleep 60$`,
		`^\$ flock -n lock echo the shim is gone\n\$ rm busy`, `^\$ flock -n lock echo the shim is gone\nthe shim is gone$`)
}

func TestEnter(t *testing.T) {
	needRoot(t)
	got := run(t, rung(t, "03-enter.sh"))
	got.ends(t, 0)
	got.has(t, `^box\n +PID COMMAND\n +1 sh -c`, `^[SR]N? +sh -c hostname box`, `^killed a stranger: 143$`)
	got.has(t, `^nsenter: .*No such file or directory$`)
	if ps := got.after(t, regexp.MustCompile(`(?m)^\$ nsenter .*ps -e.*$`).FindString(got.out)); strings.Count(ps, "\n") > 6 {
		t.Errorf("ps in the box shows more than the box:\n%s", ps)
	}
}

// A box is one that 04-detached has started.
type box struct {
	dir  string
	shim int
}

// detach starts a box, which ends with the test.
func detach(t testing.TB, command ...string) box {
	t.Helper()
	needRoot(t)
	b := box{dir: filepath.Join(t.TempDir(), "box")}
	out, err := rung(t, "04-detached", append([]string{b.dir}, command...)...).CombinedOutput()
	m := regexp.MustCompile(`^running, shim (\d+)\n$`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.shim, _ = strconv.Atoi(string(m[1]))
	running[b.shim] = true // an orphan by now, and so our child
	t.Cleanup(func() { b.kill(t) })
	return b
}

// kill kills the shim and waits for its end.
func (b box) kill(t testing.TB) {
	t.Helper()
	if !running[b.shim] {
		return
	}
	delete(running, b.shim)
	if err := unix.Kill(b.shim, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if pid, err := unix.Wait4(b.shim, nil, 0, nil); pid != b.shim {
		t.Errorf("wait for the shim, an orphan that should be our child: %d, %v", pid, err)
	}
}

// ended waits for the lock that the shim holds, and returns the status it has written.
func (b box) ended(t testing.TB) string {
	t.Helper()
	file, err := os.Open(b.dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for end := time.Now().Add(patience()); unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the shim does not end")
		}
	}
	status, err := os.ReadFile(b.dir + "/status")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(status))
}

// process is the box's process 1.
func (b box) process(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(b.dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// says waits until the box's log has this text.
func (b box) says(t testing.TB, want string) {
	t.Helper()
	for end := time.Now().Add(patience()); ; time.Sleep(time.Millisecond) {
		log, err := os.ReadFile(b.dir + "/log")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(log), want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no %q in the log:\n%s", want, log)
		}
	}
}

func TestDetached(t *testing.T) {
	b := detach(t, "sh", "-c", "echo out; echo err >&2; hostname; ps -e -o pid,comm; sleep 1000; true")
	b.says(t, " ps\n")
	b.says(t, "out\nerr\nbox\n")
	b.says(t, " 1 sh\n")
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.shim))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	// state, parent, process group, session, terminal. proc_pid_stat(5)
	if f := strings.Fields(string(rest)); f[1] != strconv.Itoa(os.Getpid()) || f[3] != strconv.Itoa(b.shim) || f[4] != "0" {
		t.Errorf("the shim has the parent %s, the session %s, the terminal %s", f[1], f[3], f[4])
	}
	if err := unix.Kill(b.process(t), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if status := b.ended(t); status != "137" {
		t.Errorf("status %q after kill -9", status)
	}
	if status := detach(t, "sh", "-c", "exit 5").ended(t); status != "5" {
		t.Errorf("status %q after exit 5", status)
	}
	dir := filepath.Join(t.TempDir(), "box")
	got := run(t, rung(t, "04-detached", dir, "no-such-command"))
	got.ends(t, 1)
	got.has(t, `^error: exec: "no-such-command".*not found`)
	if _, err := os.Stat(dir); err == nil {
		t.Error("what did not start has left a directory")
	}
}

// kill -9 of the shim is the end of the box, and the lock says so at once.
func TestShimKilled(t *testing.T) {
	for range times(50) {
		b := detach(t, "sleep", "1000")
		process, err := unix.PidfdOpen(b.process(t), 0)
		if err != nil {
			t.Fatal(err)
		}
		b.kill(t)
		if status := b.ended(t); status != "" {
			t.Errorf("a status %q, and nobody to write it", status)
		}
		n, err := 0, error(unix.EINTR) // by SIGCHLD: the box is our child by now
		for errors.Is(err, unix.EINTR) {
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, int(patience().Milliseconds()))
		}
		if n != 1 {
			t.Errorf("the box has outlived its shim: %v", err)
		}
		unix.Close(process)
	}
}

func TestOneName(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "box")
	var all sync.WaitGroup
	outs := make([]string, times(300)/10)
	for i := range outs {
		cmd := rung(t, "04-detached", dir, "sleep", "1000")
		all.Go(func() {
			out, _ := cmd.CombinedOutput() // of all but one an error
			outs[i] = string(out)
		})
	}
	all.Wait()
	won := 0
	for _, out := range outs {
		if m := regexp.MustCompile(`^running, shim (\d+)\n$`).FindStringSubmatch(out); m != nil {
			won++
			b := box{dir: dir}
			b.shim, _ = strconv.Atoi(m[1])
			running[b.shim] = true
			b.kill(t)
		} else if !strings.Contains(out, "file exists") {
			t.Errorf("what lost says %q", out)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d have won", won, len(outs))
	}
}

// keep runs a command with a log in dir and returns what is in it.
func keep(t *testing.T, dir, script string) (log string) {
	t.Helper()
	log = filepath.Join(dir, "log")
	run(t, rung(t, "05-logs", "keep", log, "sh", "-c", script)).ends(t, 0)
	return log
}

func TestLogs(t *testing.T) {
	long := strings.Repeat("x", 40000)
	dir := t.TempDir() // the long line, of several entries, comes when the one of stderr is there: not in between
	log := keep(t, dir, "echo out; echo err >&2; printf 'no newline'; until grep -q stderr "+dir+"/log; do sleep 0.1; done; printf '\\n"+long+"\\n'")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	streams := map[string]string{}
	for line := range bytes.Lines(text) {
		var e struct {
			Log, Stream string
			Time        time.Time
		}
		if err := json.Unmarshal(line, &e); err != nil || time.Since(e.Time) > time.Minute || len(e.Log) > 16<<10 {
			t.Errorf("%v: %.100s", err, line)
		}
		streams[e.Stream] += e.Log
	}
	if streams["stdout"] != "out\nno newline\n"+long+"\n" || streams["stderr"] != "err\n" {
		t.Errorf("%.100q", streams)
	}
	// A record that is damaged is named, and those around it are read.
	damaged := bytes.Replace(text, []byte(`"stream":"stderr"`), make([]byte, 17), 1)
	if err := os.WriteFile(log, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, rung(t, "05-logs", "follow", log))
	got.ends(t, 0)
	got.has(t, `^out$`, `^damaged entry: `, `^no newline$`, `^`+long+`$`)
	got.hasNot(t, `^err$`)
}

func TestFollow(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	writer := start(t, rung(t, "05-logs", "keep", log, "sh", "-c", "for i in $(seq 200); do echo line $i; [ $((i % 20)) != 0 ] || sleep 0.02; done"))
	for {
		if info, err := os.Stat(log); err == nil && info.Size() > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	reader := start(t, rung(t, "05-logs", "follow", log))
	writer.wait(t).ends(t, 0)
	got := reader.wait(t)
	got.ends(t, 0)
	var want strings.Builder
	for i := range 200 {
		fmt.Fprintln(&want, "line", i+1)
	}
	if got.out != want.String() {
		t.Errorf("followed\n%s", got.out)
	}
}

// The fault of step 5: on a full disk lines are lost, and nobody hears of it.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	log := keep(t, dir, "seq 2000")
	got := run(t, rung(t, "05-logs", "follow", log))
	got.ends(t, 0)
	if n := len(regexp.MustCompile(`(?m)^\d+$`).FindAllString(got.out, -1)); n < 100 || n > 1000 {
		t.Errorf("%d of 2000 lines are in a log on a full disk", n)
	}
}

// The trap: without a root of its own, the thread takes all others into the box. Each time.
func TestTrap(t *testing.T) {
	b := detach(t, "sleep", "1000")
	for range times(100) {
		got := run(t, rung(t, "06-exec", "-trap", b.dir, "hostname"))
		got.ends(t, 0)
		got.has(t, `^another thread is in the box, too$`, `^box$`)
		got = run(t, rung(t, "06-exec", b.dir, "hostname"))
		got.ends(t, 0)
		if got.out != "box\n" {
			t.Errorf("printed %q", got.out)
		}
	}
}

func TestExec(t *testing.T) {
	b := detach(t, "sleep", "1000")
	got := run(t, rung(t, "06-exec", b.dir, "ps", "-e", "-o", "pid,comm"))
	got.ends(t, 0)
	got.has(t, `^ +1 sleep$`, ` ps$`)
	if n := strings.Count(got.out, "\n"); n != 3 {
		t.Errorf("not two processes in the box:\n%s", got.out)
	}
	run(t, rung(t, "06-exec", b.dir, "sh", "-c", "exit 7")).ends(t, 7)
	run(t, rung(t, "06-exec", b.dir, "sh", "-c", "kill -TERM $$")).ends(t, 143)

	// Its fault: when it is killed, the command lives on, a child of the box's process 1.
	enter := start(t, rung(t, "06-exec", b.dir, "sh", "-c", "echo started; sleep 59; true"))
	enter.until(t, "started")
	if err := enter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	enter.wait(t).ends(t, 137)
	if n := len(children(b.process(t))); n != 1 {
		t.Errorf("the box's process 1 has %d children", n)
	}
}

// Nothing is run on the machine when the box does not run, or when its number may be a stranger's.
func TestExecNowhere(t *testing.T) {
	needRoot(t)
	b := detach(t, "true")
	if status := b.ended(t); status != "0" {
		t.Errorf("status %q", status)
	}
	proof := filepath.Join(t.TempDir(), "proof")
	fails := func(dir string) {
		t.Helper()
		for _, cmd := range [][]string{{"06-exec", dir, "touch", proof}, {"06-exec", "-trap", dir, "touch", proof}, {"07-stop", dir, "1"}} {
			got := run(t, rung(t, cmd[0], cmd[1:]...))
			got.ends(t, 1)
			got.has(t, `^error: .*(does not run|no such file)`)
		}
		if _, err := os.Stat(proof); err == nil {
			t.Error("it has run on the machine")
		}
	}
	fails(b.dir)
	fails(b.dir + "-not-here")

	stranger := rung(t, "05-logs", "keep", filepath.Join(t.TempDir(), "log"), "sleep", "1000")
	stranger.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p := start(t, stranger)
	number := b.dir + "/pid"
	if err := os.WriteFile(number, fmt.Appendln(nil, p.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(b.dir) // the shim is dead, and its number is somebody's again

	// The shim lives and has struck out the number: it is about to ask for the status.
	file, err := os.Create(number)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fails(b.dir)
	// With its sleep. SIGTERM could end that first, of which it would then tell: status 1.
	if err := unix.Kill(-p.Process.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := p.wait(t); got.status != 137 {
		t.Errorf("the stranger has ended with %d", got.status)
	}
}

func TestStop(t *testing.T) {
	b := detach(t, "sleep", "1000")
	before := time.Now()
	got := run(t, rung(t, "07-stop", b.dir, "1"))
	got.ends(t, 0)
	if took := time.Since(before); got.out != "no answer to SIGTERM\nexit status 137\n" || took < time.Second {
		t.Errorf("after %v: %s", took, got.out)
	}
	if _, err := os.Stat(b.dir); err == nil {
		t.Error("the directory is still there")
	}

	b = detach(t, "sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done")
	b.says(t, "ready")
	if got := run(t, rung(t, "07-stop", b.dir, "60")); got.out != "exit status 3\n" {
		t.Errorf("%s", got.out)
	}

	// kill -9 of the shim while somebody waits.
	b = detach(t, "sh", "-c", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done")
	b.says(t, "ready")
	stop := start(t, rung(t, "07-stop", b.dir, "60"))
	b.says(t, "asked")
	b.kill(t)
	if got := stop.wait(t); got.out != "exit status 137\n" {
		t.Errorf("%s", got.out)
	}
}
