package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/scripts/internal/box"
	"golang.org/x/sys/unix"
)

// The test binary is also leakcheck itself, and a program that leaks what no
// shell command makes.
func TestMain(m *testing.M) {
	switch os.Getenv("LEAKCHECK_TEST") {
	case "leakcheck":
		if os.Getenv("LEAKCHECK_GRACE") == "short" {
			grace = time.Second
		}
		if err := os.Setenv("LEAKCHECK_TEST", "leak"); err != nil {
			panic(err)
		}
		os.Exit(run(os.Args[1:]))
	case "leak":
		if os.Args[1] == "count" {
			os.Exit(countInterrupts())
		}
		if err := leakIPC(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// self is this binary, wherever it is: inside the box its path is covered.
const self = "/proc/self/exe"

func leakcheck(args ...string) *exec.Cmd {
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "LEAKCHECK_TEST=leakcheck", "LEAKCHECK_GRACE=short")
	return cmd
}

func check(t *testing.T, args ...string) (status int, stderr string) {
	t.Helper()
	return finish(t, leakcheck(args...))
}

func finish(t *testing.T, cmd *exec.Cmd) (status int, stderr string) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &out
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// Null control: a clean command is not accused of anything.
func TestStatusPassesThrough(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	for _, test := range []struct {
		want    int
		command []string
	}{
		{0, []string{"true"}},
		{1, []string{"false"}},
		{3, []string{"sh", "-c", "exit 3"}},
		{125, []string{"sh", "-c", "exit 125"}},
		{127, []string{"no-such-command-leakcheck"}},
		{127, []string{"/no/such/command"}},
		{126, []string{"/"}},
		{126, []string{"/proc/version"}},
		{128 + 9, []string{"sh", "-c", "kill -KILL $$"}},
		{128 + 15, []string{"sh", "-c", "kill -TERM $$"}},
	} {
		status, stderr := check(t, append([]string{"--"}, test.command...)...)
		if status != test.want || strings.Contains(stderr, "left behind") {
			t.Errorf("%q: status %d, want %d, and no leak; stderr: %s", test.command, status, test.want, stderr)
		}
	}
}

func TestBadUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"--"}, {"--ignore"}, {"--ignore", "(", "--", "true"}, {"--nonsense", "true"}} {
		status, stderr := check(t, args...)
		if status != exitOwnError || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: status %d, want 125 and one line; stderr: %s", args, status, stderr)
		}
	}
}

// A command that tidies up after itself, if not before its last breath, is
// clean. So is everything that others make while we look.
func TestCleanCommands(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	cgroup := box.Hierarchies(t)[0] + "/tidy"
	for name, script := range map[string]string{
		"made and removed":        "mkdir " + cgroup + " && rmdir " + cgroup + " && touch /tmp/a && rm /tmp/a",
		"orphan about to end":     "setsid sleep 1 &",
		"zombies":                 "(true &) ; (true &)",
		"removed a little later":  "touch /tmp/b; (sleep 1; rm /tmp/b) &",
		"one goes, another comes": "touch /tmp/c; (sleep 1.5; rm /tmp/c; touch /tmp/d) &",
	} {
		cmd := leakcheck("--", "sh", "-c", script)
		cmd.Env = append(cmd.Env, "LEAKCHECK_GRACE=")
		if status, stderr := finish(t, cmd); status != 0 || stderr != "" {
			t.Errorf("%s: status %d, want 0 and silence; stderr: %s", name, status, stderr)
		}
	}
}

// Every kind of leak must be found, and nothing but that leak.
func TestLeaks(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	shell := func(script string) []string { return []string{"sh", "-c", script} }
	cgroup := box.Hierarchies(t)[0]
	mustRun(t, "mkdir -p /run/go-docker /run/here /run/there && touch /run/ns && mount -t tmpfs there /run/there")

	for _, test := range []struct {
		name    string
		command []string
		want    string // one regular expression a line
		undo    string
	}{
		{"process", shell("sleep 300 &"), `process \d+ sleep 300`, ""},
		{"process in a session of its own", shell("setsid sh -c 'sleep 301 & sleep 302; true' &"),
			`process \d+ (sh -c .*|sleep 30[12])` + strings.Repeat("\n"+`process \d+ (sh -c .*|sleep 30[12])`, 2), ""},
		{"process that ignores signals", shell("trap '' TERM INT HUP; sleep 303 &"), `process \d+ sleep 303`, ""},
		{"cgroup", shell("mkdir -p $0/go-docker-leaktest-1/nested"), "", "rmdir $0/go-docker-leaktest-1/nested $0/go-docker-leaktest-1"},
		{"mount", shell("mount -t tmpfs leak /run/here"), "mount leak on /run/here type tmpfs .*", "umount /run/here"},
		{"mount on top of another", shell("mount -t tmpfs there /run/there"), "mount there on /run/there type tmpfs .*", "umount /run/there"},
		{"mount that is gone", shell("umount /run/there"), "gone: mount there on /run/there type tmpfs .*", "mount -t tmpfs there /run/there"},
		{"mount changed", shell("mount --make-shared /run/there"),
			"mount there on /run/there .* shared:.*\ngone: mount there on /run/there .*", "mount --make-private /run/there"},
		{"namespace", shell("unshare -u mount --make-rprivate / && mount --bind /proc/self/ns/uts /run/ns"),
			`namespace uts:\[\d+\] kept alive by the mount on /run/ns`, "umount /run/ns"},
		{"link", shell("ip link add leak0 type bridge"), "link leak0", "ip link del leak0"},
		{"temporary file", shell("mktemp /tmp/leak.XXXXXX"), `temp /tmp/leak\..*`, "rm /tmp/leak.*"},
		{"record", shell("touch /run/go-docker/0123456789ab.json"), "record /run/go-docker/0123456789ab.json", "rm /run/go-docker/*"},
		{"shared memory", []string{self, "shm"}, `ipc shm id \d+ key \d+`, "ipcrm -a"},
		{"message queue", []string{self, "msg"}, `ipc msg id \d+ key \d+`, "ipcrm -a"},
		{"semaphores", []string{self, "sem"}, `ipc sem id \d+ key \d+`, "ipcrm -a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "cgroup" {
				dir := cgroup + "/go-docker-leaktest-1"
				test.command = append(test.command, cgroup)
				test.want = "cgroup " + dir + "\ncgroup " + dir + "/nested"
				test.undo = strings.ReplaceAll(test.undo, "$0", cgroup)
			}
			status, stderr := check(t, append([]string{"--"}, test.command...)...)
			if test.undo != "" {
				mustRun(t, test.undo)
			}
			expect(t, status, stderr, test.want)
			for _, m := range regexp.MustCompile(`process (\d+)`).FindAllStringSubmatch(stderr, -1) {
				if _, err := os.Stat("/proc/" + m[1]); err == nil {
					t.Errorf("process %s was not killed", m[1])
				}
			}
		})
	}
	if status, stderr := check(t, "--", "true"); status != 0 {
		t.Errorf("after all this: status %d, stderr: %s", status, stderr)
	}
}

// A v1 hierarchy outlives its mounts as long as it has a cgroup.
func TestHierarchyWithoutMount(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	if len(box.Hierarchies(t, "cgroup")) == 0 {
		t.Skip("no cgroup v1 on this machine")
	}
	name := fmt.Sprintf("go-docker-leaktest.%d", os.Getpid())
	mustRun(t, "mkdir /run/h")
	mount := "mount -t cgroup -o none,name=" + name + " h /run/h && "
	status, stderr := check(t, "--ignore", `name=go-docker-step`, "--", "sh", "-c", mount+"mkdir /run/h/child && umount /run/h")
	// One that loses its last mount right after its last cgroup stays: the
	// kernel takes its time over an rmdir. So once more, until it is gone.
	mustRun(t, "for i in $(seq 50); do grep -q name="+name+" /proc/self/cgroup || exit 0; "+mount+
		"{ rmdir /run/h/child 2>/dev/null; sleep 0.1; umount /run/h; sleep 0.1; }; done; exit 1")
	expect(t, status, stderr, "hierarchy name="+name)
}

func TestLeakOfFailingCommand(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	status, stderr := check(t, "--", "sh", "-c", "touch /tmp/leak; exit 3")
	expect(t, status, stderr, "temp /tmp/leak")
	if !strings.Contains(stderr, "exited with status 3") {
		t.Errorf("the command's own status is not mentioned: %s", stderr)
	}
}

func TestIgnore(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	script := []string{"--", "sh", "-c", "touch /tmp/noise.1 /tmp/noise.2 /tmp/leak; sleep 300 &"}
	status, stderr := check(t, append([]string{"--ignore", `^temp /tmp/noise\.`, "--ignore", "sleep 300"}, script...)...)
	mustRun(t, "rm /tmp/noise.* /tmp/leak")
	expect(t, status, stderr, "temp /tmp/leak")
	status, stderr = check(t, append([]string{"--ignore", `^temp /tmp/(noise|leak)`, "--ignore", "sleep 300"}, script...)...)
	if status != 0 || stderr != "" {
		t.Errorf("all ignored: status %d, stderr: %s", status, stderr)
	}
}

// Outside the box, in the machine's own hierarchies, where others are busy.
func TestCgroupLeakOnTheMachine(t *testing.T) {
	box.NeedRoot(t)
	args := []string{"--", "mkdir"}
	var want []string
	for _, h := range box.Hierarchies(t) {
		dir := filepath.Join(h, fmt.Sprintf("go-docker-leaktest-%d", os.Getpid()))
		args = append(args, dir)
		want = append(want, "cgroup "+dir+"\n")
	}
	status, stderr := check(t, args...)
	for _, dir := range args[2:] {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	}
	if status != exitLeak || len(want) == 0 {
		t.Errorf("status %d, want 1, from %d hierarchies", status, len(want))
	}
	for _, line := range want {
		if !strings.Contains(stderr, line) {
			t.Errorf("no %q in %s", line, stderr)
		}
	}
}

func TestForwardsSignals(t *testing.T) {
	const script = `trap 'exit 41' INT; trap 'exit 42' TERM; trap 'exit 43' HUP; echo ready; while :; do sleep 0.05; done`
	for s, want := range map[os.Signal]int{unix.SIGINT: 41, unix.SIGTERM: 42, unix.SIGHUP: 43} {
		cmd := leakcheck("--ignore", "^(cgroup|temp|link|mount|gone|hierarchy|record|ipc|namespace) ", "--", "sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(20*time.Second, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
		_ = cmd.Wait()
		late.Stop()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("after %v: status %d, want %d", s, got, want)
		}
	}
}

// ^C on a terminal reaches the command from the terminal; it must not get a
// second one from us, because twice means "now!" to many programs.
func TestInterruptOnATerminal(t *testing.T) {
	master, slave := box.Terminal(t)
	cmd := leakcheck("--ignore", "^(cgroup|temp|link|mount|gone|hierarchy|record|ipc|namespace) ", "--", self, "count")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(master).ReadString('\n'); err != nil || line != "ready\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	// Two signals at once count as one, so leakcheck gets its own later.
	for _, step := range []func() error{
		func() error { return cmd.Process.Signal(unix.SIGSTOP) },
		func() error { _, err := master.WriteString("\x03"); return err },
		func() error { time.Sleep(200 * time.Millisecond); return nil },
		func() error { return cmd.Process.Signal(unix.SIGCONT) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 41 {
		t.Errorf("status %d, want 41: one SIGINT", got)
	}
}

func countInterrupts() int {
	interrupts := make(chan os.Signal, 9)
	signal.Notify(interrupts, os.Interrupt)
	fmt.Println("ready")
	time.Sleep(time.Second)
	return 40 + len(interrupts)
}

func TestParseStat(t *testing.T) {
	for stat, want := range map[string]process{
		"12 (sh) S 1 12 12 0":             {12, 1, false, "(sh)"},
		"13 (a b) c) (d) R 12 12 12 0":    {13, 12, false, "(a b) c) (d)"},
		"14 () Z 13 12 12 0":              {14, 13, true, "()"},
		"15 (\n) S 9 (x) T 14 12 12 0":    {15, 14, false, "(\n) S 9 (x)"},
		"4194304 (kworker/0:1) I 2 0 0 0": {4194304, 2, false, "(kworker/0:1)"},
	} {
		if got, err := parseStat(stat); got != want || err != nil {
			t.Errorf("%q: %+v, %v; want %+v", stat, got, err, want)
		}
	}
	for _, stat := range []string{"", "12", "12 (sh", "(sh) S 1", "x (sh) S 1", "12 (sh) S", "12 (sh) S x", "12 )sh( S 1"} {
		if got, err := parseStat(stat); err == nil {
			t.Errorf("%q: %+v, want an error", stat, got)
		}
	}
}

// expect wants exit status 1 and exactly these leaks, in any order.
func expect(t *testing.T, status int, stderr, want string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(stderr) {
		if !strings.Contains(line, "left behind by") {
			got = append(got, strings.TrimPrefix(strings.TrimSpace(line), "leakcheck: "))
		}
	}
	patterns := strings.Split(want, "\n")
	matched := 0
	for _, p := range patterns {
		for _, line := range got {
			if regexp.MustCompile("^" + p + "$").MatchString(line) {
				matched++
				break
			}
		}
	}
	if status != exitLeak || matched != len(patterns) || len(got) != len(patterns) {
		t.Errorf("status %d, want 1; leaks:\n%s\nwant:\n%s", status, stderr, want)
	}
}

func mustRun(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func leakIPC(kind string) error {
	const private, size, create = unix.IPC_PRIVATE, 4096, unix.IPC_CREAT | 0o600
	var errno syscall.Errno
	switch kind {
	case "shm":
		_, _, errno = unix.Syscall(unix.SYS_SHMGET, private, size, create)
	case "msg":
		_, _, errno = unix.Syscall(unix.SYS_MSGGET, private, create, 0)
	case "sem":
		_, _, errno = unix.Syscall(unix.SYS_SEMGET, private, 1, create)
	default:
		return errors.New("unknown kind " + kind)
	}
	if errno != 0 {
		return errno
	}
	return nil
}
