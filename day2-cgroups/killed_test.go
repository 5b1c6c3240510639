package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// murder kills the program without giving it a chance to react.
func (l *launched) murder() {
	l.t.Helper()
	l.signal(syscall.SIGKILL)
	l.wait()
}

// The next run removes what is left of a container whose parent was killed, but
// nothing of a living one.
func TestParentKilled(t *testing.T) {
	kernelTest(t)
	for _, flags := range []string{"", "--mount"} {
		lives := begin(t, contained(t, stay...))
		dies := begin(t, contained(t, append(strings.Fields(flags), "sh", "-c", "echo ready; exec >/dev/null 2>&1; sleep 1000 & sleep 1000")...))
		init := dies.init()
		dies.murder()
		poll(t, "init dies with its parent", func() bool {
			syscall.Wait4(init, nil, syscall.WNOHANG, nil) // it is our child by now
			return unix.Kill(init, 0) == unix.ESRCH
		})
		for _, dir := range dies.Cgroups {
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("nothing is left to be swept: %v", err)
			}
		}
		got := finish(t, contained(t, "true"))
		if got.status != 0 || got.stdout != "" || got.stderr != "info: removing what container "+dies.ID+" left behind\n" {
			t.Errorf("%+v", got)
		}
		for _, path := range leftovers(t) {
			if strings.Contains(path, dies.ID) {
				t.Errorf("%q: left behind: %s", flags, path)
			}
		}
		// The living one is still there, in all of its cgroups, and so is its
		// record.
		for _, dir := range lives.Cgroups {
			if procs := readFile(t, filepath.Join(dir, "cgroup.procs")); procs == "" {
				t.Errorf("%s is empty", dir)
			}
		}
		if got := lives.end(); got.status != 143 {
			t.Errorf("%+v", got)
		}
		nothingLeft(t, "the last one")
	}
}

// Killed at any moment, the program leaves only what the next run can find.
func TestKilledAtAnyMoment(t *testing.T) {
	kernelTest(t)
	typical := float64(typicalRun(t))
	found := 0
	kill := func(pause float64) {
		c := launch(t, contained(t, "-m", "100m", "sleep", "0.01"))
		time.Sleep(time.Duration(pause))
		_ = c.cmd.Process.Kill()
		c.wait()
		if len(leftovers(t)) > 0 {
			found++
		}
		if got := finish(t, contained(t, "true")); got.status != 0 {
			t.Fatalf("after %v: %+v", time.Duration(pause), got)
		}
		nothingLeft(t, "SIGKILL and another run")
	}
	for i := range rounds(100) {
		kill(1.5 * typical * moment(i))
	}
	// The machine may have become faster or slower since.
	for pause := typical / 20; found == 0 && pause < 100*typical; pause *= 1.2 {
		kill(pause)
	}
	if found == 0 {
		t.Error("nothing was ever left: this proves nothing")
	}
}

// All runs that start now try to sweep the same leftovers, and none fails
// because of that.
func TestSweepRace(t *testing.T) {
	kernelTest(t)
	for range rounds(10) {
		for range 4 {
			begin(t, contained(t, stay...)).murder()
		}
		if len(leftovers(t)) == 0 {
			t.Error("nothing is left to be swept: this proves nothing")
		}
		var all []*launched
		for range 4 {
			all = append(all, launch(t, contained(t, "true")))
		}
		for _, c := range all {
			if got := c.wait(); got.status != 0 {
				t.Errorf("%+v", got)
			}
		}
		finish(t, contained(t, "true")) // because a run that tries a lock may seem to hold it
		nothingLeft(t, "four sweepers")
	}
}

// Leftovers that cannot be removed do not stop anybody else.
func TestStuckLeftover(t *testing.T) {
	kernelTest(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	record := "/run/go-docker/0123456789ab.json" // not locked: its owner is dead
	if err := os.MkdirAll(filepath.Dir(record), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(record, fmt.Appendf(nil, `{"id": "0123456789ab", "cgroups": [%q]}`, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	got := finish(t, contained(t, "echo", "runs"))
	if got.status != 0 || got.stdout != "runs\n" || !strings.Contains(got.stderr, dir) {
		t.Errorf("%+v", got)
	}
	if err := os.Remove(record); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Dir(record)); err != nil {
		t.Error(err)
	}
}

// The record is readable only by root, is locked while its owner is alive, and
// is named after the container.
func TestRecord(t *testing.T) {
	kernelTest(t)
	c := begin(t, contained(t, stay...))
	for path, mode := range map[string]os.FileMode{
		"/run/go-docker":                   os.ModeDir | 0o700,
		"/run/go-docker/" + c.ID + ".json": 0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", path, info, err, mode)
		}
	}
	for _, dir := range c.Cgroups {
		if filepath.Base(dir) != "go-docker-"+c.ID {
			t.Errorf("cgroup %s", dir)
		}
	}
	path := "/run/go-docker/" + c.ID + ".json"
	if !locked(t, path) {
		t.Error("not locked while the owner lives")
	}
	c.murder()
	if locked(t, path) {
		t.Error("still locked")
	}
	finish(t, contained(t, "true"))
}

func locked(t *testing.T, path string) bool {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// A file among the records that is not a record is not trusted.
func TestNotARecord(t *testing.T) {
	kernelTest(t)
	victim := t.TempDir()
	if err := os.MkdirAll("/run/go-docker", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":        "",
		"garbage":      "{",
		"0123456789ab": `{"id": "ba9876543210", "cgroups": ["` + victim + `"]}`, // the name does not match the id
		"111111111111": `{"id": "111111111111", "cgroups": ["` + victim + `"]}`, // the directory does not match it
	} {
		path := "/run/go-docker/" + name + ".json"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := finish(t, contained(t, "true"))
		if got.status != 0 || !strings.Contains(got.stderr, path+" is not a record") {
			t.Errorf("%s: %+v", name, got)
		}
		if _, err := os.Stat(victim); err != nil {
			t.Error(err)
		}
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove("/run/go-docker"); err != nil {
		t.Error(err)
	}
}
