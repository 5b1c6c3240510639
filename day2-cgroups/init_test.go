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

// buildProgram builds the program itself, because the test binary has other
// packages, too.
func buildProgram(t testing.TB) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("STEPS_BIN"); dir != "" { // in a virtual machine without Go
		return filepath.Join(dir, filepath.Base(here))
	}
	program := filepath.Join(t.TempDir(), filepath.Base(here))
	if output, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, output)
	}
	return program
}

// Init runs before the packages that only the parent uses are initialized. One
// import too many in a room would bring them back and make a start slower.
func TestWhatStartsInInit(t *testing.T) {
	cmd := exec.Command(buildProgram(t), "init")
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	var trace strings.Builder
	cmd.Stderr = &trace
	_ = cmd.Run() // fails, because there is no container
	started, bytes := 0, 0
	for _, m := range regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes`).FindAllStringSubmatch(trace.String(), -1) {
		var n int
		fmt.Sscan(m[2], &n)
		started, bytes = started+1, bytes+n
		for _, parents := range []string{"text/template", "html/template", "crypto/rand", "net/", "github.com/urfave", "github.com/google"} {
			if strings.HasPrefix(m[1], parents) {
				t.Errorf("%s has started in init", m[1])
			}
		}
	}
	// 28 and 17 KB on Go 1.26; 50 and 246 KB when init started in main.
	if started < 5 || started > 35 || bytes > 40_000 {
		t.Errorf("%d packages have started in init, and allocated %d bytes:\n%s", started, bytes, trace.String())
	}
	if !strings.Contains(trace.String(), "init is started by run") {
		t.Errorf("init has not run: %s", trace.String())
	}
}
