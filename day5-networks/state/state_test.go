package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/boot"
	"example.com/go-docker/day5-networks/inventory"
	"example.com/go-docker/day5-networks/lock"
)

func TestPolicy(t *testing.T) {
	for text, want := range map[string]Policy{
		"no": {Name: "no"}, "always": {Name: "always"}, "unless-stopped": {Name: "unless-stopped"},
		"on-failure": {Name: "on-failure"}, "on-failure:0": {Name: "on-failure"}, "on-failure:7": {"on-failure", 7},
	} {
		if got, err := ParsePolicy(text); err != nil || got != want || got.String() != want.Name {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "No", "on-failure:", "on-failure:-1", "on-failure:x", "always:1", "no:0", ":"} {
		if got, err := ParsePolicy(text); err == nil || !strings.Contains(err.Error(), "--restart") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, test := range []struct {
		policy           Policy
		status, restarts int
		want             bool
	}{
		{Policy{}, 1, 0, false}, {Policy{Name: "no"}, 1, 0, false},
		{Policy{Name: "always"}, 0, 1000, true}, {Policy{Name: "unless-stopped"}, 0, 9, true},
		{Policy{Name: "on-failure"}, 0, 0, false}, {Policy{Name: "on-failure"}, 137, 1000, true},
		{Policy{"on-failure", 3}, 1, 2, true}, {Policy{"on-failure", 3}, 1, 3, false},
	} {
		if got := test.policy.Again(test.status, test.restarts); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// 100 ms, doubled up to a minute, and from the beginning after ten good seconds.
func TestPause(t *testing.T) {
	var pause time.Duration
	for _, want := range []string{"100ms", "200ms", "400ms", "800ms", "1.6s", "3.2s", "6.4s", "12.8s", "25.6s", "51.2s", "1m0s", "1m0s"} {
		if pause = Pause(pause, time.Second); pause.String() != want {
			t.Errorf("%v, want %s", pause, want)
		}
	}
	if pause = Pause(pause, 11*time.Second); pause != 100*time.Millisecond {
		t.Errorf("after a success: %v", pause)
	}
}

// made makes a container's directory, with a lock and a state.
func made(t *testing.T, s State) string {
	t.Helper()
	dir := t.TempDir()
	file, err := lock.Create(filepath.Join(dir, inventory.Lock), nil)
	if err == nil {
		err = errors.Join(file.Close(), Write(dir, &s))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRead(t *testing.T) {
	thisBoot, err := boot.ID()
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[Status]Status{Created: Created, Exited: Exited, Running: Exited, Paused: Exited, Restarting: Exited} {
		dir := made(t, State{Status: status, BootID: thisBoot, PID: 7, ShimPID: 8, ExitCode: 5})
		held, err := lock.Try(filepath.Join(dir, inventory.Lock)) // as a shim has it
		if err != nil {
			t.Fatal(err)
		}
		if s, err := Read(dir); err != nil || s.Status != status || s.Settled {
			t.Errorf("%s, and the lock is held: %+v, %v", status, s, err)
		}
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
		s, err := Read(dir)
		if err != nil || s.Status != want {
			t.Errorf("%s, and the lock is free: %+v, %v", status, s, err)
		}
		if dead := status != want; dead != s.Settled || dead && (s.ExitCode != killedStatus || s.PID != 0 || s.Error == "" || s.FinishedAt.IsZero()) || !dead && s.ExitCode != 5 {
			t.Errorf("%s: %+v", status, s)
		}
		if again, err := Read(dir); err != nil || again.Settled || again.Status != want || again.Error != s.Error {
			t.Errorf("%s, read again: %+v, %v", status, again, err)
		}
	}
	dir := made(t, State{Status: Running, BootID: "of another time"})
	if s, err := Read(dir); err != nil || s.ExitCode != lostStatus || s.Status != Exited {
		t.Errorf("%+v, %v", s, err)
	}
	for _, text := range []string{"", "{", "\x00\x00", "[]", "null", `{"Version":99}`, `{"PID":1}`} {
		if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		held, err := lock.Try(filepath.Join(dir, inventory.Lock))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := Read(dir); err != nil || s.Status != Running || !s.Lost {
			t.Errorf("%q, and the lock is held: %+v, %v", text, s, err)
		}
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err := Read(dir); err != nil || s.ExitCode != lostStatus || s.Status != Exited {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
}

// A configuration that is missing is no reason to remove a container that has
// just been removed.
func TestReadConfigOfNone(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadConfig(dir); !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), "it has just been removed") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, inventory.Description), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadConfig(dir); !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), "with rm") {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"", "{", "{}", "null", `{"Container":{}}`} {
		if err := os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadConfig(dir); err == nil || !strings.HasSuffix(err.Error(), "with rm") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Who looks, even together with others, is never mistaken for a shim: nobody
// then says that the container runs, and it can be had.
func TestManyLook(t *testing.T) {
	dir := made(t, State{Status: Exited})
	for range 200 {
		if err := Write(dir, &State{Status: Running, ShimPID: 8}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if s, err := Read(dir); err != nil || s.Live() {
					t.Errorf("%+v, %v", s, err)
				}
			})
			all.Go(func() {
				held, err := TryLock(dir)
				switch s, errRead := Read(dir); {
				case errRead != nil || s.Live():
					t.Errorf("%+v, %v", s, errRead)
				case err == nil:
					_ = held.Close()
				case !errors.Is(err, lock.ErrHeld):
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if files, err := filepath.Glob(dir + "/*"); len(files) != 2 {
		t.Errorf("%q, %v", files, err)
	}
}

// On a full disk the end of a container can be recorded all the same.
func TestWriteOnFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	if err := Write(dir, &State{Status: Running}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/ballast", make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	want := State{Status: Exited, ExitCode: 3, Error: strings.Repeat("long ", 1000)}
	if err := Write(dir, &want); err != nil {
		t.Fatal(err)
	}
	if s, err := read(dir); err != nil || s.ExitCode != 3 || s.Status != Exited || len(s.Error) != 300 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A record is never longer than the one before, whose place it may have to take.
func TestRecordsAreEquallyLong(t *testing.T) {
	dir := made(t, State{Status: Created})
	at := time.Date(2026, 12, 31, 23, 59, 59, 123456789, time.UTC)
	for _, text := range []string{"", "x", strings.Repeat("x", 1000), strings.Repeat("\x01", 1000), strings.Repeat("<", 299), strings.Repeat("\u2028", 200), strings.Repeat("\xff", 300), strings.Repeat("世", 300)} {
		s := State{Status: Restarting, PID: 1 << 22, ShimPID: 1 << 22, ShimStart: 1 << 62, BootID: strings.Repeat("b", 36), StartedAt: at, FinishedAt: at, ExitCode: 255, OOMKilled: true, Restarts: 1 << 30, Error: text}
		if err := Write(dir, &s); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, stateFile))
		if err != nil || info.Size() != 1024 {
			t.Errorf("%.9q: %d bytes, %v", text, info.Size(), err)
		}
		if got, err := read(dir); err != nil || got.Lost || !strings.HasPrefix(text, got.Error) || text == strings.ToValidUTF8(text, "") && len(got.Error) < min(len(text), 50) {
			t.Errorf("%.9q: %+v, %v", text, got, err)
		}
	}
}

func TestStartTime(t *testing.T) {
	own, err := StartTime(os.Getpid())
	parent, err2 := StartTime(os.Getppid())
	if err != nil || err2 != nil || own == 0 || parent > own {
		t.Errorf("%d, %v; the parent's %d, %v", own, err, parent, err2)
	}
	if _, err := StartTime(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nobody: %v", err)
	}
}
