package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLogsFollow(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "--log-opt", "max-size=2k", "--log-opt", "max-file=1000", "box",
		"sh", "-c", "for i in $(seq 300); do echo line $i; [ $((i % 30)) != 0 ] || sleep 0.03; done; exit 3")
	var want strings.Builder
	for i := range 300 {
		fmt.Fprintln(&want, "line", i+1)
	}
	if got := w.do("logs", "-f", "web"); got != (outcome{0, want.String(), ""}) {
		t.Errorf("followed %d bytes of %d", len(got.stdout), want.Len())
	}
	if got := w.ok("logs", "-n", "2", "web"); got != "line 299\nline 300" {
		t.Errorf("the last two: %q", got)
	}
	if got := w.ok("logs", "-t", "-n", "1", "web"); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\S+Z line 300$`).MatchString(got) {
		t.Errorf("with its time: %q", got)
	}
	if got := w.ok("logs", "--since", "1h", "--until", "0s", "web"); got+"\n" != want.String() {
		t.Errorf("of the last hour: %d bytes", len(got))
	}
	if got := w.ok("logs", "--until", "1h", "web"); got != "" {
		t.Errorf("before that: %q", got)
	}
	files, _ := filepath.Glob(w.root + "/containers/*/log*")
	if len(files) < 5 {
		t.Errorf("files %q", files)
	}
	// Follow continues across restarts by policy, and ends with the container
	// or with rm -f.
	w.ok("run", "-d", "--name", "three", "--restart", "on-failure:2", "box", "sh", "-c", "echo x; exit 1")
	if got := w.do("logs", "-f", "three"); got.stdout != "x\nx\nx\n" {
		t.Errorf("followed %+q", got)
	}
	w.ok("run", "-d", "--name", "gone", "box", "sh", "-c", "echo up; sleep 1000")
	follow := w.command("logs", "-f", "gone")
	out, err := follow.StdoutPipe()
	if err == nil {
		err = follow.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("up\n"))); err != nil { // it follows
		t.Fatal(err)
	}
	w.ok("rm", "-f", "gone")
	if err := follow.Wait(); err != nil {
		t.Error(err)
	}
}

// If nobody reads the output of logs -f, the container does not notice.
func TestLogsReaderStands(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "loud", "box", "sh", "-c", "seq 100000; echo end")
	follow := w.command("logs", "-f", "loud")
	follow.Stdout, _ = blockedPipe(t)
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	if got := w.ok("wait", "loud"); got != "0" {
		t.Errorf("wait: %s", got)
	}
	_ = follow.Process.Kill()
	_ = follow.Wait()
	if got := w.ok("logs", "-n", "1", "loud"); got != "end" {
		t.Errorf("the last line: %q", got)
	}
	if got := w.do("logs", "loud"); len(got.stdout) != 588895+4 {
		t.Errorf("%d bytes", len(got.stdout))
	}
}

// On a full disk the container keeps running, its end is recorded, and the log
// continues once there is room again.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	disk := t.TempDir()
	if err := unix.Mount("small", disk, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	w := newWorldAt(t, filepath.Join(disk, "store"))
	w.ok("run", "-d", "--name", "loud", "box", "sh", "-c", "trap 'echo last; exit 3' TERM; echo up; while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done")
	w.until("the disk is full", func() bool {
		var st unix.Statfs_t
		return unix.Statfs(disk, &st) == nil && st.Bfree == 0
	})
	time.Sleep(200 * time.Millisecond)
	if s := w.state("loud"); s.PID == 0 || !alive(s.PID) {
		t.Errorf("%+v", s)
	}
	w.ok("exec", "loud", "true")
	got := w.do("run", "-d", "--name", "other", "box", "true")
	if got.status != 125 || !strings.Contains(got.stderr, "no space left") || strings.Count(notes.ReplaceAllString(got.stderr, ""), "\n") != 1 {
		t.Errorf("run on a full disk: %+q", got)
	}
	w.ok("kill", "-s", "TERM", "loud")
	if got := w.ok("wait", "loud"); got != "3" {
		t.Errorf("wait: %s", got)
	}
	if s := w.state("loud"); s.ExitCode != 3 || s.Error != "" {
		t.Errorf("%+v", s)
	}
	logs := w.do("logs", "loud")
	if logs.status != 0 || !strings.HasPrefix(logs.stdout, "up\n") {
		t.Errorf("logs: status %d, %.50q, %q", logs.status, logs.stdout, logs.stderr)
	}
	w.ok("rm", "loud")
	w.ok("run", "--rm", "box", "true")
}

// A store on a read-only disk can be read, and commands that would change it
// give a single line of error.
func TestReadOnly(t *testing.T) {
	w := newWorld(t)
	w.ok("run", "-d", "--name", "web", "box", "echo", "x")
	w.ok("wait", "web")
	if err := unix.Mount(w.root, w.root, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(w.root, 0); err != nil {
			t.Error(err)
		}
	}()
	if err := unix.Mount("", w.root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"run -d box true", "start web", "rm web", "rename web other"} {
		got := w.do(strings.Fields(args)...)
		if got.status == 0 || !oneError.MatchString(got.stderr) || !strings.Contains(got.stderr, "read-only") {
			t.Errorf("%s: %+q", args, got)
		}
	}
	if _, err := os.Stat(filepath.Join(w.root, "containers")); err != nil {
		t.Error(err)
	}
}
