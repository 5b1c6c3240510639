package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// All of them, without the program around it; the ones with a meaning of their
// own follow with it.
func TestEveryExitStatus(t *testing.T) {
	needNamespaces(t)
	runtime.LockOSThread() // as main does: the container dies with the thread that made it
	defer runtime.UnlockOSThread()
	for want := range 256 {
		c, err := parse("--pid", "sh", "-c", fmt.Sprint("exit ", want))
		if err != nil {
			t.Fatal(err)
		}
		if got := exitStatus(withStatus(run(c))); got != want {
			t.Errorf("exit %d: %d", want, got)
		}
	}
	noProcesses(t)
}

func TestExitStatus(t *testing.T) {
	for _, want := range []int{0, 1, 2, 124, 125, 126, 127, 128, 137, 255} {
		for _, init := range []string{"--init=true", "--init=false"} {
			got := finish(t, container(t, init, "sh", "-c", fmt.Sprint("exit ", want)))
			if got != (outcome{status: want}) {
				t.Errorf("run %s, exit %d: %+v", init, want, got)
			}
		}
	}
}

func TestKilledBySignal(t *testing.T) {
	for sig, status := range map[string]int{"HUP": 129, "INT": 130, "KILL": 137, "USR1": 138, "SEGV": 139, "TERM": 143} {
		got := finish(t, container(t, "sh", "-c", "ulimit -c 0; kill -"+sig+" $$"))
		if got != (outcome{status: status}) {
			t.Errorf("SIG%s: %+v, want status %d", sig, got, status)
		}
	}
}

func TestCannotRun(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "garbage": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("\x00\x01 no program"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "orphan"), []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, init := range []string{"--init=true", "--init=false"} {
		for _, test := range []struct {
			command string
			status  int
			says    string
		}{
			{"go-docker-no-such-command", 127, "executable file not found"},
			{"/no/such/file", 127, "no such file or directory"},
			{"", 127, "executable file not found"},
			{dir + "/orphan", 127, "no such file or directory"},
			{dir + "/plain", 126, "permission denied"},
			{dir + "/garbage", 126, "exec format error"},
			{dir, 126, "is a directory"},
			{"/dev/null/x", 126, "not a directory"},
		} {
			got := finish(t, container(t, init, test.command))
			if got.status != test.status {
				t.Errorf("run %s %q: status %d, want %d", init, test.command, got.status, test.status)
			}
			got.wantOneError(t, fmt.Sprintf("exec %q: ", test.command))
			got.wantOneError(t, test.says)
		}
	}
}

func TestBadInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"frobnicate"}, `unknown command "frobnicate"`},
		{[]string{"frob\nnicate"}, `unknown command`},
		{[]string{"--no-such-flag"}, "-no-such-flag"},
		{[]string{"--format", "xml"}, `"xml"`},
		{[]string{"init"}, "init is started by run"},
		{[]string{"run"}, "requires a command"},
		{[]string{"run", "-ti"}, "requires a command"},
		{[]string{"run", "--no-such-flag", "true"}, "-no-such-flag"},
		{[]string{"run", "-tix", "true"}, "x"},
		{[]string{"run", "--init=perhaps", "true"}, "perhaps"},
		{[]string{"run", "--hostname"}, "hostname"},
		{[]string{"run", "--hostname", strings.Repeat("x", 65), "true"}, "64"},
		{[]string{"run", "--hostname", "box", "--pid", "true"}, "add --uts"},
		{[]string{"run", "-w", "relative", "true"}, "not an absolute path"},
		{[]string{"run", "-w", "/no/such/directory", "true"}, "/no/such/directory"},
		{[]string{"run", "-w", "/no/\x1b[31mcolour\n\u009bplease", "true"}, "/no/ [31mcolour  please: no such"},
		{[]string{"run", "-w", file, "true"}, "not a directory"},
		{[]string{"run", "-e", "=value", "true"}, "want NAME=VALUE"},
		{[]string{"run", "-e", "", "true"}, "want NAME=VALUE"},
	} {
		got := finish(t, program(t, test.args...))
		if got.status != exitRuntimeError {
			t.Errorf("%q: status %d, want %d", test.args, got.status, exitRuntimeError)
		}
		got.wantOneError(t, test.says)
	}
}

var oneError = regexp.MustCompile(`^error: [^\x00-\x1f\x7f]+\n$`)

// wantOneError fails the test unless stderr is one line with text in it.
func (r outcome) wantOneError(t *testing.T, text string) {
	t.Helper()
	if r.stdout != "" || !oneError.MatchString(r.stderr) || !strings.Contains(r.stderr, text) {
		t.Errorf("stdout %q, stderr %q; want one line with %q on stderr only", r.stdout, r.stderr, text)
	}
}
