package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"example.com/go-docker/day1-namespaces/container"
)

// All statuses, without the program around them; those with a special meaning
// follow with the program.
func TestEveryExitStatus(t *testing.T) {
	needNamespaces(t)
	runtime.LockOSThread() // like main: the container dies with the thread that made it
	defer runtime.UnlockOSThread()
	for want := range 256 {
		p, err := parse("--pid", "sh", "-c", fmt.Sprint("exit ", want))
		if err != nil {
			t.Fatal(err)
		}
		ended := container.StatusError{} // its status stays 0 if there is no error
		err = container.Run(p.Container, container.Parent{Signals: container.CatchSignals()})
		if errors.As(err, &ended); ended != (container.StatusError{Status: want}) {
			t.Errorf("exit %d: %v", want, err)
		}
	}
	noProcesses(t)
}

func TestExitStatus(t *testing.T) {
	for _, want := range []int{0, 1, 2, 124, 125, 126, 127, 128, 137, 255} {
		for _, init := range []string{"--init=true", "--init=false"} {
			got := finish(t, inContainer(t, init, "sh", "-c", fmt.Sprint("exit ", want)))
			if got != (outcome{status: want}) {
				t.Errorf("run %s, exit %d: %+v", init, want, got)
			}
		}
	}
}

func TestKilledBySignal(t *testing.T) {
	for sig, status := range map[string]int{"HUP": 129, "INT": 130, "KILL": 137, "USR1": 138, "SEGV": 139, "TERM": 143} {
		got := finish(t, inContainer(t, "sh", "-c", "ulimit -c 0; kill -"+sig+" $$"))
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
			got := finish(t, inContainer(t, init, test.command))
			if got.status != test.status {
				t.Errorf("run %s %q: status %d, want %d", init, test.command, got.status, test.status)
			}
			got.wantOneError(t, fmt.Sprintf("exec %q: ", test.command))
			got.wantOneError(t, test.says)
		}
	}
}

func TestBadInput(t *testing.T) {
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
		{[]string{"run", "--no/\x1b[31mcolour\n\u009bplease", "true"}, "no/ [31mcolour  please"},
	} {
		got := finish(t, program(t, test.args...))
		if got.status != container.RuntimeError {
			t.Errorf("%q: status %d, want %d", test.args, got.status, container.RuntimeError)
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
