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
			grace = 500 * time.Millisecond
		}
		if os.Getenv(boxEnv) != "" { // before, it executes itself
			if err := os.Setenv("LEAKCHECK_TEST", "leak"); err != nil {
				panic(err)
			}
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

// A named v1 hierarchy is seen in every box, and the tests of scripts/cleanup.sh leave some there for a while.
func leakcheck(args ...string) *exec.Cmd {
	cmd := exec.Command(self, append([]string{"--ignore", `^hierarchy name=go-docker-step\.`}, args...)...)
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

// A command that tidies up after itself is clean, even if it does so at the last
// moment. What others make while we look does not count.
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
		"its own namespaces":      "unshare --mount --net --ipc sh -c 'mount -t tmpfs t /mnt && ip link add x type bridge && ipcmk -Q'",
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
	// What is put in the background is a shell until its execve(2): the command waits for it, and leakcheck then sees it.
	const becomes = `becomes() { until [ "$(cat /proc/$1/comm)" = sleep ]; do :; done; }; `
	cgroup := box.Hierarchies(t)[0]
	mustRun(t, "mkdir -p /run/here /run/there && touch /run/ns && mount -t tmpfs there /run/there")

	for _, test := range []struct {
		name    string
		command []string
		want    string // one regular expression a line
	}{
		{"process", shell(becomes + "sleep 300 & becomes $!"), `process \d+ sleep 300`},
		{"process in a session of its own", shell("setsid sh -c 'sleep 301 & sleep 302 & echo >/tmp/both; wait' & until [ -e /tmp/both ]; do :; done; rm /tmp/both"),
			`process \d+ (sh -c .*|sleep 30[12])` + strings.Repeat("\n"+`process \d+ (sh -c .*|sleep 30[12])`, 2)},
		{"process that ignores signals", shell(becomes + "trap '' TERM INT HUP; sleep 303 & becomes $!"), `process \d+ sleep 303`},
		{"cgroup", shell("mkdir -p " + cgroup + "/go-docker-leaktest/nested"), "cgroup " + cgroup + "/go-docker-leaktest\ncgroup " + cgroup + "/go-docker-leaktest/nested"},
		{"cgroup of a container", shell("mkdir " + cgroup + "/go-docker-0123456789ab"), "cgroup " + cgroup + "/go-docker-0123456789ab"},
		{"cgroup of a dead process", shell("mkdir " + cgroup + "/go-docker-step.$$"), "cgroup " + cgroup + `/go-docker-step\.\d+`},
		{"cgroup of a process that is left", shell(becomes + "mkdir " + cgroup + "/go-docker-step.$$; (sleep 304 & echo $! >" + cgroup + "/go-docker-step.$$/cgroup.procs; becomes $!)"),
			`process \d+ sleep 304` + "\ncgroup " + cgroup + `/go-docker-step\.\d+`},
		{"mount", shell("mount -t tmpfs leak /run/here"), "mount leak on /run/here type tmpfs .*"},
		{"mount on top of another", shell("mount -t tmpfs there /run/there"), "mount there on /run/there type tmpfs .*"},
		{"mount that is gone", shell("umount /run/there"), "gone: mount there on /run/there type tmpfs .*"},
		{"mount changed", shell("mount --make-shared /run/there"), "mount there on /run/there .* shared:.*\ngone: mount there on /run/there .*"},
		{"namespace", shell("unshare -u mount --make-rprivate / && mount --bind /proc/self/ns/uts /run/ns"),
			`namespace uts:\[\d+\] kept alive by the mount on /run/ns`},
		{"link", shell("ip link add leak0 type bridge"), "link leak0"},
		{"nft table", shell("nft add table inet leak"), "nft table inet leak"},
		{"forwarding", shell("echo 1 >/proc/sys/net/ipv4/ip_forward"), "setting /proc/sys/net/ipv4/ip_forward 1"},
		{"temporary file", shell("mktemp $TMPDIR/leak.XXXXXX"), `temp /tmp/leak\..*`},
		{"temporary file that ignores TMPDIR", shell("touch /tmp/leak"), `temp /tmp/leak`},
		{"shared memory of POSIX", shell("touch /dev/shm/leak"), "temp /dev/shm/leak"},
		{"record", shell("mkdir /run/go-docker && touch /run/go-docker/0123456789ab.json"), "record /run/go-docker/0123456789ab.json"},
		{"image", shell(`mkdir "$GO_DOCKER_ROOT/blobs"`), "store .*/blobs"},
		{"shared memory", []string{self, "shm"}, `ipc shm id \d+ key \d+`},
		{"message queue", []string{self, "msg"}, `ipc msg id \d+ key \d+`},
		{"semaphores", []string{self, "sem"}, `ipc sem id \d+ key \d+`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(test.want, "cgroup") { // one with a dead owner is everybody's
				t.Parallel()
			}
			status, stderr := check(t, append([]string{"--"}, test.command...)...)
			for _, m := range regexp.MustCompile(`(?m)cgroup (/.*)$`).FindAllStringSubmatch(stderr, -1) {
				defer os.Remove(m[1]) // the deepest, which comes last, first
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
	name := fmt.Sprintf("go-docker-leaktest.x%d", os.Getpid()) // x: an owner that lives is somebody else
	mustRun(t, "mkdir /run/h")
	mount := "mount -t cgroup -o none,name=" + name + " h /run/h && "
	status, stderr := check(t, "--", "sh", "-c", mount+"mkdir /run/h/child && umount /run/h")
	// One that loses its last mount right after its last cgroup stays: the
	// kernel takes its time over an rmdir. So once more, until it is gone.
	mustRun(t, "for i in $(seq 300); do grep -q name="+name+" /proc/self/cgroup || exit 0; "+mount+
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
	script := []string{"--", "sh", "-c", "touch /tmp/noise.1 /tmp/noise.2 /tmp/leak; sleep 300 & until [ $(cat /proc/$!/comm) = sleep ]; do :; done"}
	status, stderr := check(t, append([]string{"--ignore", `^temp /tmp/noise\.`, "--ignore", "sleep 300"}, script...)...)
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

// What others do on the same machine at the same time is not our leak, however much
// it looks like one: they use the same names.
func TestOthersDoNotMatter(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	mustRun(t, "mkdir /run/there && touch /tmp/keep")
	cmd := leakcheck("--", "sh", "-c", "echo ready; read line; exit 0")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	other := exec.Command("sleep", "300")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = other.Process.Kill(), other.Wait() }()
	defer os.Remove("/dev/shm/foreign") // the machine's, even in the box
	cgroup, id := box.Hierarchies(t)[0], "aabbccddeeff"
	for _, script := range []string{
		"touch /tmp/foreign /tmp/go-docker-foreign /dev/shm/foreign; rm /tmp/keep",
		"mkdir -p /run/go-docker && touch /run/go-docker/" + id + ".json && mkdir " + cgroup + "/go-docker-" + id,
		fmt.Sprintf("mkdir -p %[1]s/session.scope %[1]s/go-docker-step.%[2]d/nested", cgroup, other.Process.Pid),
		fmt.Sprintf("mkdir %[1]s/go-docker-other && echo %[2]d >%[1]s/go-docker-other/cgroup.procs", cgroup, other.Process.Pid),
		fmt.Sprintf("mkdir -p %s/go-docker-test.%d/dead", cgroup, os.Getpid()),
		"mount -t tmpfs foreign /run/there",
		"ip link add foreign0 type bridge",
		"ipcmk -Q",
	} {
		mustRun(t, script)
	}
	dead := exec.Command("sh", "-c", "mkdir "+cgroup+"/go-docker-step.$$; sleep 5")
	if err := dead.Run(); err != nil { // it leaves a leak, and we have seen that it was not ours
		t.Fatal(err)
	}
	if err := input.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v: %s", err, stderr.String())
	}
}

// A plain user cannot make a box. There the names and the owners decide.
func TestPlainUser(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/run/leakcheck", program, 0o755); err != nil {
		t.Fatal(err)
	}
	plain := func(script string) (int, string) {
		cmd := leakcheck("--", "sh", "-c", script)
		cmd.Path = "/run/leakcheck"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return finish(t, cmd)
	}
	status, stderr := plain(`[ "$(id -u)" = 65534 ] && touch "$TMPDIR/a" && rm "$TMPDIR/a" && touch /tmp/foreign && mkdir -p "$XDG_RUNTIME_DIR/go-docker"`)
	if status != 0 || stderr != "" {
		t.Errorf("nothing is left: status %d, stderr: %s", status, stderr)
	}
	for script, want := range map[string]string{
		`touch "$TMPDIR/leak"`:      `temp .*/leak`,
		"touch /tmp/go-docker-leak": `temp /tmp/go-docker-leak`,
		"sleep 300 & until [ $(cat /proc/$!/comm) = sleep ]; do :; done":             `process \d+ sleep 300`,
		`touch "$GO_DOCKER_ROOT/x"`:                                                  `store .*/x`,
		"touch /tmp/go-docker-x.$$.":                                                 `temp /tmp/go-docker-x\.\d+\.`,
		`mkdir "$XDG_RUNTIME_DIR/go-docker" && touch "$XDG_RUNTIME_DIR/go-docker/x"`: `record .*/x`,
	} {
		status, stderr := plain(script)
		expect(t, status, stderr, want)
	}
	if left, _ := filepath.Glob("/tmp/go-docker-box-*"); len(left) > 0 {
		t.Errorf("boxes are left: %q", left)
	}
}

// The clone that is tested, the caches of Go: they may be below /tmp.
func TestKeep(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	mustRun(t, "mkdir -p /tmp/clone/sub /tmp/a/cache && echo precious >/tmp/clone/file && echo precious >/tmp/a/cache/file && touch /tmp/covered")
	cmd := leakcheck("--keep", "/tmp/a/cache", "--", "sh", "-c",
		"cat file /tmp/clone/file /tmp/a/cache/file && touch sub/new && [ $PWD = /tmp/clone ] && [ ! -e /tmp/covered ]")
	cmd.Dir = "/tmp/clone"
	if status, stderr := finish(t, cmd); status != 0 || stderr != "" {
		t.Errorf("status %d, stderr: %s", status, stderr)
	}
	mustRun(t, "cat /tmp/clone/file /tmp/a/cache/file /tmp/covered && test -e /tmp/clone/sub/new && ! ls -d /tmp/go-docker-box-* 2>/dev/null")
}

func TestForwardsSignals(t *testing.T) {
	const script = `trap 'exit 41' INT; trap 'exit 42' TERM; trap 'exit 43' HUP; echo ready; while :; do sleep 0.05; done`
	for s, want := range map[os.Signal]int{unix.SIGINT: 41, unix.SIGTERM: 42, unix.SIGHUP: 43} {
		cmd := leakcheck("--ignore", "^(cgroup|(gone: )?mount) ", "--", "sh", "-c", script) // who makes and leaves these on this machine is not asked here
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
		late := time.AfterFunc(time.Minute, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
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
	cmd := leakcheck("--ignore", "^(cgroup|(gone: )?mount) ", "--", self, "count")
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
	select { // the first, whenever it comes, and then a while for a second
	case first := <-interrupts:
		time.Sleep(time.Second)
		interrupts <- first
	case <-time.After(time.Minute):
	}
	return 40 + len(interrupts)
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
