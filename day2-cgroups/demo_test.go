package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"example.com/go-docker/day2-cgroups/cgroup"
	"example.com/go-docker/day2-cgroups/container"
)

// A result is what the demo prints with --format json.
type result struct {
	CgroupVersion int    `json:"cgroup_version"`
	CgroupPath    string `json:"cgroup_path"`
	LimitBytes    int64  `json:"limit_bytes"`
	SwapLimit     int64  `json:"swap_limit_bytes"`
	AskedBytes    int64  `json:"asked_bytes"`
	PeakBytes     int64  `json:"peak_bytes"`
	SwapPeak      int64  `json:"swap_peak_bytes"`
	OOMKills      int64  `json:"oom_kills"`
	ExitStatus    int    `json:"exit_status"`
}

// demoResult runs the demo with --format json. It must leave nothing behind.
func demoResult(t *testing.T, args ...string) result {
	t.Helper()
	got := finish(t, program(t, append([]string{"--format", "json"}, args...)...))
	if got.status != 0 {
		t.Fatalf("%q: %+v", args, got)
	}
	var keys map[string]any
	var r result
	if err := json.Unmarshal([]byte(got.stdout), &keys); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"cgroup_version", "cgroup_path", "limit_bytes", "swap_limit_bytes", "asked_bytes",
		"peak_bytes", "swap_peak_bytes", "limit_hits", "oom_kills", "exit_status",
	} {
		if _, ok := keys[key]; !ok {
			t.Errorf("no %s in %s", key, got.stdout)
		}
	}
	if _, err := os.Stat(r.CgroupPath); !os.IsNotExist(err) || !strings.HasPrefix(filepath.Base(r.CgroupPath), "go-docker-") {
		t.Errorf("cgroup %q: %v", r.CgroupPath, err)
	}
	return r
}

func TestDemo(t *testing.T) {
	kernelTest(t)
	r := demoResult(t)
	if version, _ := controllersHere(t); r.CgroupVersion != version {
		t.Errorf("version %d, want %d", r.CgroupVersion, version)
	}
	if r.LimitBytes != 100<<20 || r.AskedBytes != 200<<20 || r.SwapLimit != 0 || r.SwapPeak != 0 {
		t.Errorf("%+v", r)
	}
	if r.OOMKills != 1 || r.ExitStatus != 137 {
		t.Errorf("%d kills, exit status %d, want 1 and 137", r.OOMKills, r.ExitStatus)
	}
	// Linux 6.1 may count a few more pages than it grants.
	if r.PeakBytes < r.LimitBytes*9/10 || r.PeakBytes > r.LimitBytes+64<<10 {
		t.Errorf("peak %d with a limit of %d", r.PeakBytes, r.LimitBytes)
	}
}

func TestDemoWithSwap(t *testing.T) {
	kernelTest(t)
	for _, test := range []struct {
		swap  string
		limit int64
	}{{"60m", 40 << 20}, {"-1", cgroup.Unlimited}} {
		r := demoResult(t, "-m", "20m", "--memory-swap", test.swap)
		if r.LimitBytes != 20<<20 || r.AskedBytes != 40<<20 || r.SwapLimit != test.limit {
			t.Errorf("%+v", r)
		}
		lives := r.OOMKills == 0 && r.ExitStatus == 0 && r.SwapPeak > 10<<20
		dies := r.OOMKills == 1 && r.ExitStatus == 137 && r.SwapPeak == 0
		if hasSwap(t) && !lives || !hasSwap(t) && !dies {
			t.Errorf("swap: %v, %+v", hasSwap(t), r)
		}
	}
}

func TestDemoText(t *testing.T) {
	kernelTest(t)
	got := finish(t, program(t))
	if got.status != 0 || got.stderr != "" || strings.ContainsAny(got.stdout, "\x1b\r") {
		t.Errorf("%+v", got)
	}
	version, _ := controllersHere(t)
	for _, words := range []string{
		`(?m)^ +\d+\.\d s +\d+ MiB \|#* *\|$`, `(?m)^ +\d+\.\d s +\d+ MiB \|#+ *\|$`,
		`limit +100MiB +` + map[int]string{1: "memory.limit_in_bytes", 2: "memory.max"}[version], `swap on top +0B`, `asked for +200MiB`,
		`(?m)^ +\d+\.\d s +100 MiB \|#{50}\|\n\ncgroup`, // the last line, at the limit
		`OOM kills +1 `, `exit status +137 = 128 \+ 9, SIGKILL`, `The kernel killed the hog`,
	} {
		if !regexp.MustCompile(words).MatchString(got.stdout) {
			t.Errorf("no %s in:\n%s", words, got.stdout)
		}
	}
}

// onTerminal runs a command with its output on a terminal, waits for a text
// there, optionally presses ^C, and returns all of the output.
func onTerminal(t *testing.T, cmd *exec.Cmd, columns uint16, text string, interrupt bool) string {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 40, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = slave
	l := launch(t, cmd)
	slave.Close()
	var screen transcript
	go io.Copy(&screen, master) // ends with EIO once the slave is closed
	poll(t, "the terminal shows "+text, func() bool { return strings.Contains(screen.String(), text) })
	want := 0
	if interrupt {
		l.signal(syscall.SIGINT)
		want = -1 // it dies of it
	}
	if got := l.wait(); got.status != want || got.stderr != "" {
		t.Errorf("%q: %+v", cmd.Args, got)
	}
	return screen.String()
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

func TestDemoOnTerminal(t *testing.T) {
	kernelTest(t)
	for _, columns := range []uint16{80, 40, 200} {
		screen := onTerminal(t, program(t), columns, "The kernel killed the hog", false)
		if redrawn := strings.Count(screen, "A\x1b[J"); redrawn < 2 {
			t.Errorf("%d columns: drawn again %d times", columns, redrawn)
		}
		chart, _, _ := strings.Cut(screen, "\ncgroup v")
		if !strings.Contains(chart, "memory") || !strings.Contains(chart, "╭") {
			t.Errorf("%d columns: no chart in the %d bytes on the screen", columns, len(chart))
		}
		for line := range strings.Lines(chart) { // a line that wraps would spoil the next drawing
			line = strings.TrimRight(escapes.ReplaceAllString(line, ""), "\r\n")
			if width := len([]rune(line)); width > int(columns) {
				t.Errorf("%d columns: a line has %d: %q", columns, width, line)
			}
		}
	}
}

func TestDemoRefuses(t *testing.T) {
	kernelTest(t)
	for _, test := range []struct{ args, words []string }{
		{[]string{"--format", "xml"}, []string{"--format", "xml"}},
		{[]string{"--memory", "1k"}, []string{"--memory"}},
		{[]string{"--memory-swap", "1g"}, []string{"--memory-swap"}},
		{[]string{"--memory", "1p"}, []string{"--memory", "this machine has"}}, // it would use all of the memory
		{[]string{"--memory", "8191p"}, []string{"--memory", "this machine has"}},
		{[]string{"hog"}, []string{"SIZE"}},
		{[]string{"hog", "1e"}, []string{"1e"}},
	} {
		started := time.Now()
		refuses(t, program(t, test.args...), container.RuntimeError, test.words...)
		if took := time.Since(started); took > patience/4 {
			t.Errorf("%q: took %v", test.args, took)
		}
	}
}

func TestStress(t *testing.T) {
	kernelTest(t)
	cmd := program(t, "--stress")
	cmd.Env = append(cmd.Env, "PATH="+t.TempDir())
	refuses(t, cmd, container.NotFound, `exec "stress"`, "executable file not found")

	_, err := exec.LookPath("stress")
	need(t, err == nil, "stress")
	r := demoResult(t, "--stress", "-m", "40m")
	if r.OOMKills < 1 || r.ExitStatus == 0 || r.PeakBytes < r.LimitBytes*9/10 || r.PeakBytes > r.LimitBytes+64<<10 {
		t.Errorf("%+v", r)
	}
}

// ^C ends the demo like a container: with that status and without a verdict.
func TestDemoInterrupted(t *testing.T) {
	kernelTest(t)
	machine := sysinfo(t)
	// The hog takes ten seconds for a GiB: as long may the machine hold us up.
	limit := min(1<<30, uint64(machine.Totalram)*uint64(machine.Unit)/4)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		l := launch(t, program(t, "-m", fmt.Sprint(limit)))
		l.says(" MiB |")
		l.signal(sig)
		if got := l.wait(); got.status != 128+int(sig) || got.stderr != "" {
			t.Errorf("%v: %+v", sig, got)
		}
	}
}

// When nobody reads its output any more, the demo still cleans up.
func TestDemoWithoutReader(t *testing.T) {
	kernelTest(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	cmd := program(t, "-m", "20m")
	cmd.Stdout = write
	finish(t, cmd).wantOneError(t, "broken pipe")
	nothingLeft(t, "a demo without a reader")
}
