package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"example.com/go-docker/day5-networks/demo"
)

// The demo shows every path, in seconds, and does not touch the network in
// which it is started.
func TestDemo(t *testing.T) {
	w := newWorld(t)
	before := w.machine()
	dir := t.TempDir()
	start := func(args ...string) *exec.Cmd {
		cmd := exec.Command(w.program, args...)
		cmd.Env = append(os.Environ(), "TMPDIR="+dir, "GORACE=atexit_sleep_ms=0")
		return cmd
	}
	got := w.finish(start())
	if got.status != 0 || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{
		`(?m)^\$ run -d --name web -p 8080:80 `, `(?m)0\.0\.0\.0:8080->80/tcp, 0\.0\.0\.0:8080->80/udp +web$`, `web 172\.\d+\.0\.2:80`,
		`(?m)^container to another, by name +web:80 +the resolver +web, to 172\S+ +web, to 172\S+$`,
		`(?m)^outside straight to a container .* silence +silence$`,
	} {
		if !regexp.MustCompile(want).MatchString(got.stdout) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
	var shown struct {
		Steps []json.RawMessage
		Paths []demo.Path
	}
	if got := w.finish(start("--format", "json")); json.Unmarshal([]byte(got.stdout), &shown) != nil || len(shown.Steps) < 6 || len(shown.Paths) != 11 {
		t.Errorf("as JSON: %+v", got)
	}
	for _, p := range shown.Paths {
		if !p.Right() {
			t.Errorf("%+v", p)
		}
	}
	// A demo whose output nobody reads any more cleans up.
	unread := start()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	unread.Stdout = write
	err = unread.Run()
	write.Close()
	if left, _ := os.ReadDir(dir); len(left) > 0 || unread.ProcessState == nil || !unread.ProcessState.Exited() {
		t.Errorf("nobody reads: %v; left behind: %v", err, left)
	}
	// So does an interrupted one; after a killed one, the next one does.
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		cmd := start()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.until("it has begun", func() bool {
			found, _ := filepath.Glob(filepath.Join(dir, "go-docker-*", "store", "networks", "*", "endpoints", "*.json"))
			return len(found) > 0
		})
		_ = cmd.Process.Signal(sig)
		_ = cmd.Wait()
		if got := statusOf(cmd); got != 128+int(sig) {
			t.Errorf("%v: status %d", sig, got)
		}
		w.until("what it has started has ended", func() bool { return !demoRuns(dir) })
		if left, _ := os.ReadDir(dir); sig == syscall.SIGINT && len(left) > 0 {
			t.Errorf("interrupted, it has left %v", left)
		}
		w.sameMachine(before)
	}
	if got := w.finish(start()); got.status != 0 {
		t.Errorf("after one that was killed: %+v", got)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	w.sameMachine(before)
	if got := w.do("world"); got.status == 0 || !strings.Contains(got.stderr, "part of the demo") {
		t.Errorf("in a namespace that is not new: %+v", got)
	}
}

// demoRuns reports whether a demo with this TMPDIR runs, or a command of it. Its
// containers, and so their shims, may.
func demoRuns(dir string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		environ, _ := os.ReadFile(file) // it may just have ended
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		_, args, _ = bytes.Cut(args, []byte{0})
		if bytes.HasPrefix(args, []byte("--")) && bytes.Contains(environ, []byte("TMPDIR="+dir+"\x00")) {
			return true
		}
	}
	return false
}
