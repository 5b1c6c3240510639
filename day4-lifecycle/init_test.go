package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Init and the shim run before the packages that only the commands use are
// initialized. One import too many in a room would bring them back, make a
// start slower, and cost each shim more memory. Go initializes packages in
// alphabetical order, so net or runtime/debug in the shim would bring in many
// that it does not need.
func TestWhatStartsInInitAndShim(t *testing.T) {
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args     []string
		says     string
		packages int
		bytes    int
	}{
		{[]string{"init"}, "init is started by run", 90, 100_000},
		{[]string{"shim", "/nowhere", "detach"}, "a shim is started by run or start", 90, 100_000},
	} {
		cmd := exec.Command(program, test.args...)
		cmd.Env = []string{"GODEBUG=inittrace=1"}
		var trace strings.Builder
		cmd.Stderr = &trace
		_ = cmd.Run() // fails, because there is no container
		started, bytes := 0, 0
		for _, m := range regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes`).FindAllStringSubmatch(trace.String(), -1) {
			var n int
			fmt.Sscan(m[2], &n)
			started, bytes = started+1, bytes+n
			for _, commands := range []string{"html/template", "net/http", "github.com/urfave", "github.com/google/go-containerregistry/pkg/v1"} {
				if strings.HasPrefix(m[1], commands) {
					t.Errorf("%s has started in %q", m[1], test.args)
				}
			}
		}
		if started < 5 || started > test.packages || bytes > test.bytes {
			t.Errorf("%q: %d packages have started, and allocated %d bytes:\n%s", test.args, started, bytes, trace.String())
		}
		if !strings.Contains(trace.String(), test.says) {
			t.Errorf("%q has not run: %s", test.args, trace.String())
		}
	}
}

// A small address space gives one line of error, not a dump of stacks. The program
// is linked without C's library, which reserves some for each thread: with it, the
// runtime may fail before our check.
func TestSmallAddressSpace(t *testing.T) {
	program := filepath.Join(t.TempDir(), "static")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	cmd := exec.Command("sh", "-c", `ulimit -v 1000000; exec "$0" ps`, program)
	said, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 125 || strings.Count(string(said), "\n") != 1 ||
		!strings.Contains(string(said), "limited to 1000000 KiB") || !strings.Contains(string(said), "ulimit -v unlimited") {
		t.Errorf("%v: %s", err, said)
	}
}
