package main

import (
	"bytes"
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

	"example.com/go-docker/day4-lifecycle/boot"
	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/lifecycle"
	"example.com/go-docker/day4-lifecycle/state"
)

func TestRunDetached(t *testing.T) {
	w := newWorld(t)
	id := w.ok("run", "-d", "--name", "web", "box", "sh", "-c", "echo out; trap 'echo bye; exit 3' TERM; echo err >&2; while :; do sleep 0.02; done")
	if !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("printed %q", id)
	}
	w.logs("web", "out\n", "err\n")
	table := w.ok("ps")
	for _, want := range []string{`^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n`, id + ` +box +"sh -c echo out; tra…" +\S.* ago +Up .* +web$`} {
		if !regexp.MustCompile(want).MatchString(table) {
			t.Errorf("ps: no %q in\n%s", want, table)
		}
	}
	s := w.state("web")
	if s.Status != state.Running || s.PID == 0 || !alive(s.PID) || !alive(s.ShimPID) {
		t.Errorf("%+v", s)
	}
	// The shim has a session of its own and no terminal, and does not inherit
	// what the caller has left open.
	stat := strings.Fields(w.read(fmt.Sprintf("/proc/%d/stat", s.ShimPID)))
	if stat[5] != strconv.Itoa(s.ShimPID) || stat[6] != "0" {
		t.Errorf("session %s, terminal %s", stat[5], stat[6])
	}
	w.ok("stop", "web")
	if got := w.status("web"); !strings.HasPrefix(got, "Exited (3) ") {
		t.Errorf("status %q", got)
	}
	if got := w.ok("logs", "--tail", "1", "web"); got != "bye" {
		t.Errorf("the last line is %q", got)
	}
	if s := w.state("web"); s.PID != 0 || s.ShimPID != 0 || s.ExitCode != 3 || s.FinishedAt.Before(s.StartedAt) {
		t.Errorf("%+v", s)
	}
	w.ok("rm", "web")
}

// run -d prints the id only once the command is running. If it cannot run, the
// container is removed.
func TestDoesNotStart(t *testing.T) {
	w := newWorld(t)
	for _, flags := range [][]string{{"run"}, {"run", "-d"}, {"run", "-d", "--restart", "always"}, {"run", "-d", "--rm"}} {
		w.fails(127, "not found", append(flags, "box", "no-such-command")...)
		w.fails(126, "text", append(flags, "box", "text")...)
		w.fails(125, "no matching entries", append(flags, "-u", "nobody-here", "box", "true")...)
	}
	if left := w.leftovers(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	// A created container stays created, and the error says why.
	w.ok("create", "--name", "made", "box", "no-such-command")
	w.fails(127, "not found", "start", "-a", "made")
	if got := w.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}", "made"); !strings.HasPrefix(got, "created 127 exec ") {
		t.Errorf("inspect: %s", got)
	}
}

// Who looks into a container with --rm that has not run yet does not keep it
// from starting; and who starts it learns how it has ended, although nothing of
// it is left by then.
func TestCreateRemove(t *testing.T) {
	w := newWorld(t)
	for range times(20) {
		w.ok("create", "--rm", "--name", "once", "box", "sh", "-c", "exit 3")
		w.ok("export", "-o", "/dev/null", "once")
		w.ok("cp", "once:/etc/passwd", t.TempDir())
		if got := w.do("start", "-a", "once").plain(); got != (outcome{status: 3}) {
			t.Errorf("start -a: %+q", got)
		}
		w.until("it has gone", func() bool { return len(w.leftovers()) == 0 })
	}
}

func TestForeground(t *testing.T) {
	w := newWorld(t)
	for status, script := range map[int]string{0: "true", 7: "exit 7", 143: "kill -TERM $$"} {
		if got := w.do("run", "--rm", "box", "sh", "-c", "echo out; echo err >&2; "+script).plain(); got != (outcome{status, "out\n", "err\n"}) {
			t.Errorf("%s: %+q", script, got)
		}
	}
	cmd := w.command("run", "--rm", "-i", "box", "sh", "-c", "wc -c; echo end")
	cmd.Stdin = bytes.NewReader(make([]byte, 3<<20))
	if got := w.finish(cmd).plain(); got != (outcome{0, "3145728\nend\n", ""}) {
		t.Errorf("3 MiB of input: %+q", got)
	}
	if got := w.do("run", "--rm", "box", "cat").plain(); got != (outcome{}) { // without -i there is nothing to read
		t.Errorf("without -i: %+q", got)
	}
	// A slow reader gets all of the output, even what is still in the pipe at
	// the end.
	slow := exec.Command("sh", "-c", `"$@" | { sleep 1.5; wc -c; }`, "sh")
	slow.Args = append(slow.Args, w.command("run", "--rm", "box", "sh", "-c", "seq 60000; exit 3").Args...)
	if got := w.finish(slow); got.stdout != "348894\n" {
		t.Errorf("a slow reader got %+q", got)
	}
	// A reader that goes away ends the container, as in any pipeline.
	early := exec.Command("sh", "-c", `"$@" | head -n 1`, "sh")
	early.Args = append(early.Args, w.command("run", "--rm", "box", "yes").Args...)
	if got := w.finish(early); got.stdout != "y\n" {
		t.Errorf("head got %+q", got)
	}
	if left := w.leftovers(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A container can make a tree with more levels than its shim may have files open.
func TestRemoveDeepTree(t *testing.T) {
	w := newWorld(t)
	deep := exec.Command("sh", "-c", `ulimit -n 100; exec "$@"`, "sh")
	deep.Args = append(deep.Args, w.command("run", "--rm", "box", "sh", "-c", "for i in $(seq 200); do mkdir d && cd d || exit; done").Args...)
	if got := w.finish(deep).plain(); got != (outcome{}) {
		t.Errorf("got %+q", got)
	}
	if left, err := os.ReadDir(filepath.Join(w.root, "containers")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Signals to the client are for the container; kill -9 of the client leaves the
// container running.
func TestClientSignals(t *testing.T) {
	w := newWorld(t)
	cmd := w.command("run", "--name", "web", "box", "sh", "-c", "trap 'exit 5' USR1; echo up; while :; do sleep 0.02; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.until("it runs", func() bool { return strings.Contains(w.do("logs", "web").stdout, "up") })
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); statusOf(cmd) != 5 {
		t.Errorf("status %d", statusOf(cmd))
	}
	cmd = w.command("start", "-a", "web")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.until("it runs again", func() bool { return strings.Count(w.do("logs", "web").stdout, "up") == 2 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	time.Sleep(50 * time.Millisecond)
	if s := w.state("web"); s.Status != state.Running {
		t.Errorf("after kill -9 of its client: %+v", s)
	}
	w.ok("kill", "-s", "USR1", "web")
	if got := w.ok("wait", "web"); got != "5" {
		t.Errorf("wait: %s", got)
	}
}

func TestStop(t *testing.T) {
	w := newWorld(t)
	stubborn := []string{"box", "sh", "-c", "trap 'echo asked' TERM; echo up; while :; do sleep 0.02; done"}
	w.ok(append([]string{"run", "-d", "--name", "stub"}, stubborn...)...)
	w.says("stub", "up")
	before := time.Now()
	w.ok("stop", "-t", "1", "stub")
	if took := time.Since(before); took < time.Second {
		t.Errorf("killed after %v", took)
	}
	if s := w.state("stub"); s.ExitCode != 137 || s.Error != "" {
		t.Errorf("%+v", s)
	}
	w.ok("stop", "stub") // again: nothing to do
	w.ok("start", "stub")
	before = time.Now()
	w.ok("stop", "-t", "0", "stub")
	if took := time.Since(before); took > 10*time.Second { // as long as without -t
		t.Errorf("stop -t 0 took %v", took)
	}
	// A container that ignores the end of its client.
	count := func(text string) int { return strings.Count(w.do("logs", "stub").stdout, text+"\n") }
	ups, asked := count("up"), count("asked")
	w.ok("start", "stub")
	w.until("stub ignores TERM again", func() bool { return count("up") > ups })
	stop := w.command("stop", "-t", "1", "stub")
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	w.until("stop has asked it to end", func() bool { return count("asked") > asked })
	_ = stop.Process.Kill()
	_ = stop.Wait()
	if got := w.ok("wait", "stub"); got != "137" {
		t.Errorf("stop's client was killed, and the container ended with %s", got)
	}
	// The signal comes from the image's configuration or the command line.
	w.ok("run", "-d", "--name", "quit", "--stop-signal", "USR2", "box", "sh", "-c", "trap 'exit 9' USR2; echo up; while :; do sleep 0.02; done")
	w.says("quit", "up")
	w.ok("stop", "quit")
	if s := w.state("quit"); s.ExitCode != 9 {
		t.Errorf("%+v", s)
	}
	w.ok("restart", "quit")
	w.says("quit", "up\nup")
	w.ok("stop", "-s", "KILL", "quit")
	if s := w.state("quit"); s.ExitCode != 137 {
		t.Errorf("%+v", s)
	}
}

// Each of these gives one clear line and the right status, and changes nothing.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	id := w.ok("run", "-d", "--name", "up", "box", "sleep", "1000")
	w.ok("create", "--name", "made", "box", "true")
	w.ok("create", "--name", "made2", "box", "true")
	before := w.ok("ps", "-a", "--format", "{{.ID}} {{.State}} {{.Names}}")
	for _, test := range []struct {
		status int
		word   string
		args   string
	}{
		{1, "error: no such container: \"nobody\"\n", "stop nobody"},
		{1, "no such container", "start nobody"},
		{1, "no such container", "exec nobody true"},
		{1, "no such container", "logs nobody"},
		{1, "no such container", "wait nobody"},
		{1, "no such container", "rm nobody"},
		{1, "no such container or image", "inspect nobody"},
		{1, "no such container", "attach nobody"},
		{1, "no such container", "top nobody"},
		{1, "no such container", "rename nobody new"},
		{1, "not running", "exec made true"},
		{1, "not running", "attach made"},
		{1, "not running", "kill made"},
		{1, "not running", "pause made"},
		{1, "not running", "top made"},
		{1, "not paused", "unpause up"},
		{1, "stop it first", "rm up"},
		{1, "in use", "rename up made"},
		{1, "its name already", "rename up up"},
		{1, "in use", "rename made " + id},
		{1, "invalid name", "rename up /x"},
		{1, "too long", "rename up " + strings.Repeat("x", 65)},
		{125, "too long", "run -d --name " + strings.Repeat("x", 300) + " box true"},
		{125, "in use", "run -d --name up box true"},
		{125, "in use", "create --name up box true"},
		{125, "cannot be started again", "run -d --rm --restart always box true"},
		{125, "--restart", "run -d --restart often box true"},
		{125, "invalid --restart \"on-failure:x\": \"x\" is no number of times\n", "run -d --restart on-failure:x box true"},
		{125, "--restart", "run -d --restart always:3 box true"},
		{125, "--log-opt", "run -d --log-opt max-size=x box true"},
		{125, "--stop-signal", "run -d --stop-signal NONE box true"},
		{125, "--stop-signal", "run -d --stop-signal WINCH box true"},
		{125, "--detach-keys", "run -d --detach-keys ctrl-1,x box true"},
		{125, "error: flag provided but not defined: -z\n", "container prune -z"},
		{1, "invalid signal", "kill -s NONE up"},
		{1, "does not reach", "kill -s WINCH up"},
		{1, "invalid --tail", "logs --tail x up"},
		{1, "invalid --since", "logs --since yesterday up"},
		{1, "requires", "exec up"},
		{1, "requires", "logs"},
		{1, "requires", "logs up made"},
		{1, "requires", "stop"},
		{1, "requires", "rename up"},
		{1, "--filter", "ps -f size=3"},
		{1, "--filter", "ps -f exited=x"},
		{1, "--filter", "ps -f name=("},
		{1, "--filter", "ps -f status=up"},
		{1, "no such container", "stats --no-stream nobody"},
		{1, "not running", "stats --no-stream made"},
		{1, "--format", "ps --format {{.Nothing}}"},
		{1, "--format", "ps --format {{"},
		{1, "no arguments", "ps up"},
		{125, "not defined", "ps --nothing"},
		{1, "--workdir", "exec -w tmp up pwd"},
		{126, "chdir", "exec -w /none up pwd"},
		{126, "no matching entries", "exec -u none up pwd"},
		{127, "not found", "exec up no-such"},
		{126, "exec", "exec up text"},
		{1, "requires an image", "run"},
	} {
		if test.args == "run" {
			test.status = 125
		}
		w.fails(test.status, test.word, strings.Fields(test.args)...)
	}
	// The start of an id, if only one container's id starts like that.
	if first := w.ok("ps", "-aq"); strings.Count(first, "\n") == 2 {
		w.ok("inspect", id[:11])
	}
	w.ok("start", "up") // it is running: nothing to do, as in Docker
	if after := w.ok("ps", "-a", "--format", "{{.ID}} {{.State}} {{.Names}}"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestPsAndInspect(t *testing.T) {
	w := newWorld(t)
	ended := w.ok("run", "-d", "--name", "ended", "box", "sh", "-c", "exit 4")
	w.ok("wait", "ended")
	made := w.ok("create", "--name", "made", "-m", "64m", "-v", "/tmp:/data:ro", "-e", "A=1", "--restart", "on-failure:3", "--log-opt", "max-size=1m", "--stop-signal", "usr1", "box", "echo", "x")
	up := w.ok("run", "-d", "-w", "/tmp", "box", "sleep", "1000")
	for args, want := range map[string]string{
		"ps -q":                              up,
		"ps -aq":                             up + "\n" + made + "\n" + ended,
		"ps -lq":                             up,
		"ps -n 2 -q":                         up + "\n" + made,
		"ps -q -f status=exited":             ended,
		"ps -q -f exited=4":                  ended,
		"ps -q -f exited=5":                  "",
		"ps -aq -f name=ma":                  made,
		"ps -aq -f name=ma -f name=end":      made + "\n" + ended,
		"ps -aq -f name=ma -f status=exited": "",
		"ps -aq -f ancestor=box -f id=" + made[:8]:                  made,
		"ps -aq -f name=^ended$":                                    ended,
		"ps -aq -f name=/mad.":                                      made,
		"ps -aq -f name=^end$":                                      "",
		"ps -q -f ancestor=box:latest":                              up,
		"ps -q -f ancestor=other":                                   "",
		"ps --format {{.Names}}|{{.Image}}|{{.State}}":              up + "|box|running",
		"inspect -f {{.State.ExitCode}}{{.State.Running}} ended":    "4false",
		"inspect -f {{.Path}}{{.Args}}{{.Config.WorkingDir}} " + up: "sleep[1000]/tmp",
		"inspect -f {{.HostConfig.Memory}}{{.HostConfig.RestartPolicy}}{{.HostConfig.LogConfig}}{{.Mounts}} made": "67108864map[MaximumRetryCount:3 Name:on-failure]map[Config:map[max-size:1048576] Type:json-file][map[Destination:/data RW:false Source:/tmp Type:bind]]",
		`ps -f name=^ended$ -a --format {{.Names|json}}`:                                                          `"ended"`,
		`inspect -f {{.Config.Cmd|json}}{{.Path|upper}} made`:                                                     `["echo","x"]ECHO`,
		"inspect -f {{.Config.StopSignal}} made":                                                                  "SIGUSR1",
		"inspect -f {{.Name}} --type container made":                                                              "/made",
		"inspect -f {{.RepoTags}} box":                                                                            "[box:latest]",
	} {
		if got := w.ok(strings.Fields(args)...); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	if got := w.ok("inspect", "-f", `{{join .Config.Cmd "-"}}`, "made"); got != "echo-x" {
		t.Errorf("join: %q", got)
	}
	if got := w.ok("ps", "-a", "--format", ""); !strings.HasPrefix(got, "CONTAINER ID ") {
		t.Errorf("an empty format: %s", got)
	}
	if r := w.do("inspect", "-f", "{{.Name}}", "nobody", "made"); r.status != 1 || r.stdout != "/made\n" || !strings.Contains(r.stderr, `"nobody"`) {
		t.Errorf("inspect of one that is missing and one that is there: %+v", r)
	}
	if got := w.ok("ps", "-a", "--no-trunc", "--format", "table {{.ID}}\t{{.Command}}"); !strings.HasPrefix(got, "CONTAINER ID   COMMAND\n") || !strings.Contains(got, `"sleep 1000"`) {
		t.Errorf("table: %s", got)
	}
	if got := w.ok("ps", "-a", "--format", "json"); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"Names":"made"`) {
		t.Errorf("json: %s", got)
	}
	w.ok("rename", "made", "renamed")
	w.ok("rename", up, "up")
	if got := w.ok("container", "prune", "-f"); got != ended+"\n"+made {
		t.Errorf("prune: %s", got)
	}
	if got := w.ok("ps", "-a", "--format", "{{.Names}}"); got != "up" {
		t.Errorf("left: %s", got)
	}
	top := w.ok("top", "up", "-eo", "pid,args")
	if !strings.HasPrefix(strings.TrimSpace(top), "PID") || strings.Count(top, "\n") != 1 || !strings.Contains(top, "sleep 1000") {
		t.Errorf("top: %s", top)
	}
	w.fails(1, "no PID", "top", "up", "-eo", "args")
	if got := w.ok("stats", "--no-stream", "--format", "json"); !strings.Contains(got, up) {
		t.Errorf("stats: %s", got)
	}
	if got := w.ok("stats", "--no-stream", "--format", "json", "up"); !strings.Contains(got, up) {
		t.Errorf("stats by name: %s", got)
	}
	w.ok("rm", "-f", "up", "nobody", "up")
}

// A client that ignores signals, like anything in the background of a script,
// starts containers that do not.
func TestIgnoredSignals(t *testing.T) {
	w := newWorld(t)
	run := w.command("run", "-d", "--name", "web", "box", "sh", "-c", "grep SigIgn /proc/self/status; sleep 1000")
	script := exec.Command("sh", append([]string{"-c", `trap "" HUP INT; exec "$@"`, "sh"}, run.Args...)...)
	script.Env = run.Env
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.says("web", "SigIgn:\t0000000000000000")
	if got := w.ok("exec", "web", "grep", "SigIgn", "/proc/self/status"); got != "SigIgn:\t0000000000000000" {
		t.Errorf("exec: %s", got)
	}
	w.ok("kill", "-s", "INT", "web")
	w.ok("rm", "-f", "web")
}

func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "three", "--restart", "on-failure:2", "box", "sh", "-c", "echo x; exit 5")
	if got := w.ok("wait", "three"); got != "5" {
		t.Errorf("wait: %s", got)
	}
	if got := w.ok("logs", "three"); got != "x\nx\nx" {
		t.Errorf("logs: %q", got)
	}
	if s := w.state("three"); s.Restarts != 2 || s.Status != state.Exited {
		t.Errorf("%+v", s)
	}
	w.ok("run", "-d", "--name", "once", "--restart", "on-failure", "box", "true")
	if got := w.ok("wait", "once"); got != "0" {
		t.Errorf("wait: %s", got)
	}
	w.ok("run", "-d", "--name", "ever", "--restart", "always", "box", "sh", "-c", "echo x")
	w.until("it was started three times", func() bool { return strings.Count(w.do("logs", "ever").stdout, "x") >= 3 })
	w.until("it waits", func() bool { return strings.HasPrefix(w.status("ever"), "Restarting (0) ") })
	w.ok("stop", "ever")
	if s := w.state("ever"); s.Status != state.Exited || s.ShimPID != 0 {
		t.Errorf("%+v", s)
	}
	// kill ends it for good; other signals do not.
	w.ok("run", "-d", "--name", "again", "--restart", "always", "box", "sh", "-c", "trap 'exit 1' USR1; echo up; while :; do sleep 0.02; done")
	w.says("again", "up")
	w.ok("kill", "-s", "USR1", "again")
	w.says("again", "up\nup")
	w.ok("kill", "again")
	if got := w.ok("wait", "again"); got != "137" {
		t.Errorf("wait: %s", got)
	}
	// A container that waits for its restart gets no signals, but kill ends it.
	w.ok("start", "ever")
	w.until("it waits for a second and more", func() bool { s := w.state("ever"); return s.Restarts >= 5 && s.Status == state.Restarting })
	w.until("a signal comes while it waits", func() bool {
		got := w.do("kill", "-s", "USR1", "ever")
		return got.status == 1 && oneError.MatchString(got.stderr) && strings.Contains(got.stderr, "waits to be started again")
	})
	w.ok("kill", "ever")
	w.until("it has ended", func() bool { return w.state("ever").Status == state.Exited })
	// Whenever kill comes, it ends the container: while it starts, runs, ends
	// or waits.
	for delay := range 12 {
		w.ok("start", "ever")
		time.Sleep(time.Duration(delay) * 11 * time.Millisecond)
		w.ok("kill", "ever")
		w.until("it has ended", func() bool { return w.state("ever").Status == state.Exited })
	}
	// kill -9 of a waiting shim.
	w.ok("start", "ever")
	w.until("it waits", func() bool { return w.state("ever").Status == state.Restarting })
	w.kill(w.state("ever").ShimPID)
	w.until("it is known", func() bool { return w.state("ever").Status == state.Exited })
}

// A client attached to a container that waits for its restart learns how the
// container ended, and nothing about a killed shim.
func TestStopWhileItWaits(t *testing.T) {
	w := newWorld(t)
	for range times(5) {
		client := w.command("run", "--name", "ever", "--restart", "always", "box", "sh", "-c", "exit 3")
		var said strings.Builder
		client.Stdout, client.Stderr = &said, &said
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		w.until("it waits", func() bool {
			return strings.HasPrefix(w.do("ps", "-a", "-f", "name=ever", "--format", "{{.Status}}").stdout, "Restarting (3)")
		})
		w.ok("stop", "-t", "0", "ever")
		// On a busy machine it may just have been started again, and is then
		// asked to end and killed.
		if _ = client.Wait(); !slices.Contains([]int{3, 137, 143}, statusOf(client)) || notes.ReplaceAllString(said.String(), "") != "" {
			t.Errorf("status %d: %s", statusOf(client), &said)
		}
		w.ok("rm", "ever")
	}
}

// While a container is started, ends, restarts and is stopped, all at once,
// each command does what it should or says in one line why it cannot. No
// command hangs, or takes a passing state for a fault.
func TestCommandsWhileItRestarts(t *testing.T) {
	w := newWorld(t)
	w.ok("create", "--name", "flip", "--restart", "always", "box", "sh", "-c", "usleep 20000; exit 1")
	// A command gives the others ten seconds. So many at once, on a slow machine, may keep it out for longer.
	allowed := regexp.MustCompile(`^(error: [^\n]*(is not running|has just ended|is paused|already paused|is not paused|another command is busy with it|it is (running|paused|restarting): stop it first)[^\n]*\n)?$`)
	try := func(line string) {
		if got := w.do(strings.Fields(line)...).plain(); !allowed.MatchString(got.stderr) {
			t.Errorf("%s: %+v", line, got)
		}
	}
	var enders, others sync.WaitGroup
	for _, line := range []string{"kill flip", "stop -t 0 flip", "stop flip", "restart -t 0 flip"} {
		enders.Go(func() {
			for range times(10) {
				try("start flip")
				try(line)
			}
		})
	}
	done := make(chan struct{})
	for _, line := range []string{"wait flip", "exec flip true", "pause flip", "unpause flip", "attach flip", "cp flip:/etc/passwd -", "logs flip", "ps -a"} {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					try(line)
				}
			}
		})
	}
	enders.Wait()
	close(done)
	try("stop -t 0 flip")
	others.Wait()
	w.ok("rm", "flip")
}

func TestPause(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "tick", "box", "sh", "-c", "while :; do echo x; sleep 0.05; done")
	w.says("tick", "x")
	w.ok("pause", "tick")
	if got := w.status("tick"); !strings.HasSuffix(got, " (Paused)") {
		t.Errorf("status %q", got)
	}
	w.fails(1, "already paused", "pause", "tick")
	w.fails(1, "is paused", "exec", "tick", "true")
	w.fails(1, "is paused", "attach", "tick")
	w.fails(1, "is paused", "start", "tick")
	before := ""
	w.until("it says nothing any more", func() bool { // what it has said may still be on its way
		earlier := w.ok("logs", "tick")
		time.Sleep(300 * time.Millisecond)
		before = w.ok("logs", "tick")
		return before == earlier
	})
	w.ok("unpause", "tick")
	w.until("it goes on", func() bool { return len(w.ok("logs", "tick")) > len(before) })
	// A paused container can be ended in any of these ways.
	for _, end := range []string{"stop -t 0 tick", "stop tick", "kill tick"} {
		w.ok("restart", "-t", "0", "tick")
		w.ok("pause", "tick")
		w.ok(strings.Fields(end)...)
		if got := w.ok("wait", "tick"); got != "137" && got != "143" {
			t.Errorf("%s: %s", end, got)
		}
	}
	w.ok("start", "tick")
	w.ok("pause", "tick")
	shim := w.state("tick").ShimPID
	w.kill(shim)
	w.until("it is known", func() bool { return w.state("tick").Status == state.Exited })
	w.ok("ps")
	w.ok("start", "tick")
	w.ok("pause", "tick")
	w.ok("rm", "-f", "tick")
}

// A process outside the PID namespace may keep a stream open forever. That
// holds up neither wait nor the end of the shim.
func TestStreamHeldOpen(t *testing.T) {
	w := newWorld(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	w.ok("run", "-d", "--name", "held", "box", "sh", "-c", "echo up; sleep 1000")
	w.says("held", "up")
	init := w.state("held").PID
	held, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/1", init), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	w.ok("kill", "held")
	before := time.Now()
	if got := w.ok("wait", "held"); got != "137" {
		t.Errorf("wait: %s", got)
	}
	if took := time.Since(before); took > 30*time.Second {
		t.Errorf("wait took %v", took)
	}
	w.ok("start", "held")
}

// If many commands want the same name, or start the same container, one
// succeeds.
func TestAtOnce(t *testing.T) {
	w := newWorld(t)
	many := func(n int, args ...string) (won int, last outcome) {
		var all sync.WaitGroup
		var mu sync.Mutex
		for range n {
			all.Go(func() {
				got := w.do(args...)
				mu.Lock()
				defer mu.Unlock()
				if got.status == 0 {
					won++
				} else {
					last = got
				}
			})
		}
		all.Wait()
		return won, last
	}
	if won, last := many(times(50), "run", "-d", "--name", "one", "box", "sleep", "1000"); won != 1 || times(50) > 1 && !strings.Contains(last.stderr, "in use") {
		t.Errorf("%d have got the name; %s", won, last.stderr)
	}
	w.ok("stop", "-t", "0", "one")
	if won, last := many(times(20), "start", "one"); won != times(20) {
		t.Errorf("%d of %d starts; %s", won, times(20), last.stderr)
	}
	if s := w.state("one"); s.Status != state.Running {
		t.Errorf("%+v", s)
	}
	if ids := w.ok("ps", "-q"); strings.Contains(ids, "\n") {
		t.Errorf("runs: %q", ids)
	}
	if won, last := many(times(20), "rm", "-f", "one"); won != times(20) {
		t.Errorf("%d of %d removes; %s", won, times(20), last.stderr)
	}
}

// The state of a dead shim is corrected, and so is one from an earlier boot.
func TestStateIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	id := w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
	dir := filepath.Join(w.root, "containers", id)
	running := w.read(dir + "/state.json")
	s := w.state("web")
	w.kill(s.ShimPID)
	w.until("its end is known", func() bool { return w.state("web").Status == state.Exited })
	if s := w.state("web"); s.ExitCode != 137 || !strings.Contains(s.Error, "was killed") {
		t.Errorf("%+v", s)
	}
	if got := w.status("web"); !strings.HasPrefix(got, "Exited (137) ") {
		t.Errorf("status %q", got)
	}
	w.until("the container is dead", func() bool { return !alive(s.PID) })

	put := func(text string) {
		if err := os.WriteFile(dir+"/state.json", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	thisBoot, err := boot.ID()
	if err != nil {
		t.Fatal(err)
	}
	put(strings.Replace(running, thisBoot, "00000000-0000-0000-0000-000000000000", 1))
	if s := w.state("web"); s.Status != state.Exited || s.ExitCode != 255 || !strings.Contains(s.Error, "machine") {
		t.Errorf("after another boot: %+v", s)
	}
	put("")
	if s := w.state("web"); s.Status != state.Exited || s.ExitCode != 255 {
		t.Errorf("after a power cut: %+v", s)
	}
	w.ok("start", "web")

	// Another process has the shim's process id now; it is not killed in the
	// shim's place.
	stranger := exec.Command("sleep", "1000")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	c := &lifecycle.Container{Container: &containers.Container{ID: id, Dir: dir}, State: w.state("web")}
	c.State.ShimPID = stranger.Process.Pid
	if err := c.State.KillShim(); err == nil || !alive(stranger.Process.Pid) {
		t.Errorf("a stranger was killed: %v", err)
	}
}

// kill -9 of init ends the container, with that status.
func TestInitKilled(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "box", "sh", "-c", "sleep 1000 & sleep 1000")
	w.kill(w.state("web").PID)
	if got := w.ok("wait", "web"); got != "137" {
		t.Errorf("wait: %s", got)
	}
	if s := w.state("web"); s.Error != "" {
		t.Errorf("%+v", s)
	}
}

// A stopped shim does not answer, but rm -f removes the container anyway,
// whoever looks at it meanwhile.
func TestShimStopped(t *testing.T) {
	w := newWorld(t)
	least := time.Hour // a busy machine may be slow more than once
	for range max(3, times(10)) {
		id := w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
		w.stop(w.state("web").ShimPID)
		var lookers sync.WaitGroup
		for range 3 {
			lookers.Go(func() {
				for {
					if _, err := state.Read(filepath.Join(w.root, "containers", id)); err != nil {
						return // the container is gone
					}
				}
			})
		}
		before := time.Now()
		w.ok("rm", "-f", "web")
		least = min(least, time.Since(before))
		lookers.Wait()
	}
	if least > 9*time.Second {
		t.Errorf("it took at least %v", least)
	}
}

// Who asks a stopped shim is told so, and what to do. Only wait waits.
func TestShimStoppedIsTold(t *testing.T) {
	if testing.Short() {
		t.Skip("a command gives a shim ten seconds; test.sh --all has them")
	}
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
	shim := w.state("web").ShimPID
	wait := w.command("wait", "web")
	waited := t.TempDir() + "/waited"
	out, err := os.Create(waited)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	wait.Stdout = out
	if err := wait.Start(); err != nil {
		t.Fatal(err)
	}
	w.stop(shim)
	told := fmt.Sprintf("(process %[1]d): it is stopped, and does not answer: kill -CONT %[1]d", shim)
	var all sync.WaitGroup
	for _, args := range []string{"exec web true", "stop web", "stop -t 60 web", "kill web", "pause web", "attach web", "restart web", "cp web:/etc/passwd -"} {
		all.Go(func() {
			before := time.Now()
			got := w.do(strings.Fields(args)...)
			if got.status == 0 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, told) {
				t.Errorf("%s, after %v: %+q; want %q", args, time.Since(before), got, told)
			}
		})
	}
	all.Wait()
	if text := w.read(waited); text != "" {
		t.Errorf("wait has not waited: %s", text)
	}
	if err := unix.Kill(shim, unix.SIGCONT); err != nil { // it hears it all now
		t.Fatal(err)
	}
	err = wait.Wait()
	if text := w.read(waited); err != nil || text != "137\n" && text != "143\n" {
		t.Errorf("wait: %v, %q", err, text)
	}
}

// A container that runs is not hidden by a damaged state: its shim knows better.
func TestDamagedState(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{"", "{", "null", `{"Version":99}`, `{"PID":1}`} {
		id := w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
		s := w.state("web")
		damage := func() {
			if err := os.WriteFile(filepath.Join(w.root, "containers", id, "state.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.until("ps asks its shim, which a busy machine can keep from answering in time", func() bool {
			damage()
			return strings.HasPrefix(w.status("web"), "Up ")
		})
		damage()
		w.ok("exec", "web", "true")
		damage()
		w.fails(1, "is running", "rm", "web")
		damage()
		w.ok("kill", "-s", "CONT", "web")
		w.until("inspect asks it, too", func() bool {
			damage()
			return w.ok("inspect", "-f", "{{.State.Pid}} {{.State.ShimPid}}", "web") == fmt.Sprint(s.PID, s.ShimPID)
		})
		damage()
		w.ok("stop", "-t", "0", "web")
		if alive(s.PID) {
			t.Errorf("%q: stop has not stopped it", text)
		}
		w.ok("start", "web")
		s = w.state("web")
		damage()
		w.ok("rm", "-f", "web")
		if alive(s.PID) {
			t.Errorf("%q: rm -f has left it alive", text)
		}
	}
}

// Nor is it hidden if the shim is stopped, too.
func TestDamagedStateAndShimStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("a command gives a shim ten seconds; test.sh --all has them")
	}
	w := newWorld(t)
	id := w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
	s := w.state("web")
	w.stop(s.ShimPID)
	if err := os.WriteFile(filepath.Join(w.root, "containers", id, "state.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := w.status("web"); got != "Up" {
		t.Errorf("ps says %q", got)
	}
	w.fails(1, fmt.Sprintf("kill -CONT %d", s.ShimPID), "stop", "web")
	w.ok("rm", "-f", "web")
	if alive(s.PID) {
		t.Error("rm -f has left it alive")
	}
}

// A container of day 3, whose store this may be, has no state and no configuration.
// It cannot start, but it can be removed.
func TestContainerOfDay3(t *testing.T) {
	w := newWorld(t)
	id := w.ok("create", "--name", "old", "box", "true")
	for _, name := range []string{"state.json", "config.json", "network.json"} {
		if err := os.RemoveAll(filepath.Join(w.root, "containers", id, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.status("old"); got != "Exited (0) N/A" {
		t.Errorf("status %q", got)
	}
	w.fails(1, "with rm", "start", "old")
	w.fails(1, "with rm", "cp", "old:/etc/passwd", "-")
	w.ok("rm", "old")
	if left := w.leftovers(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// What a killed command has left and nobody can remove does not stop the next
// one, which says so. Here it is a mount point; it might be a tree that is
// deeper than a process may have descriptors.
func TestCannotBeRemoved(t *testing.T) {
	w := newWorld(t)
	busy := filepath.Join(w.root, "containers", "half-made", "upper")
	if err := os.MkdirAll(busy, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("busy", busy, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(busy, unix.MNT_DETACH)
	for _, args := range [][]string{{"run", "--rm", "box", "true"}, {"ps"}} {
		if got := w.do(args...); got.status != 0 || !strings.Contains(got.stderr, "half-made") {
			t.Errorf("%q: %+q", args, got)
		}
	}
	if err := unix.Unmount(busy, 0); err != nil {
		t.Fatal(err)
	}
	w.ok("ps")
	if left := w.leftovers(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestOutOfMemory(t *testing.T) {
	w := newWorld(t)
	got := w.do("run", "--name", "hog", "-m", "16m", "--memory-swap", "16m", "box", "sh", "-c", "head -c 64m /dev/zero | tail -c 64m | wc -c")
	if w.ok("inspect", "-f", "{{.State.OOMKilled}}", "hog") != "true" {
		t.Errorf("%+q", got)
	}
}

// The path of the store may be longer than a socket's may be.
func TestLongPath(t *testing.T) {
	w := newWorldAt(t, filepath.Join(t.TempDir(), strings.Repeat("long/", 40)))
	w.ok("run", "-d", "--name", "web", "box", "sleep", "1000")
	w.ok("exec", "web", "true")
	w.ok("stop", "-t", "0", "web")
}
