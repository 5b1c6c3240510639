package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/lock"
	"example.com/go-docker/day4-lifecycle/state"
)

// kill -9 of a client, shim or init at any moment of any command that changes
// something: the next command reports the true state, and after rm -f nothing
// is left. A thousand times with GO_DOCKER_LONG=1.
func TestKilledAtRandom(t *testing.T) {
	w := newWorld(t)
	commands := []string{
		"run -d --name web box sleep 1000",
		"run -d --rm --name web box sleep 1000",
		"run -d --restart always --name web box true",
		"run --name web box sh -c echo$IFS$0;sleep$IFS.02",
		"create --name web box sleep 1000",
		"start web",
		"stop -t 0 web",
		"restart -t 0 web",
		"pause web",
		"exec web sleep 0.02",
		"rename web web",
		"rm -f web",
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range times(100) {
		line := commands[random.IntN(len(commands))]
		cmd := w.command(strings.Fields(line)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.IntN(40000)) * time.Microsecond)
		whom := random.IntN(3)
		if whom == 0 {
			_ = cmd.Process.Kill()
		}
		if whom > 0 {
			w.killOne(whom == 1)
		}
		_ = cmd.Wait()
		w.tellsTheTruth(line)
		if random.IntN(4) == 0 {
			w.ok("rm", "-f", "web")
			if left := w.leftovers(); len(left) > 0 {
				t.Fatalf("after %s, killed, and rm -f: %q", line, left)
			}
		}
	}
}

// killOne kills a shim or an init of this store, in whatever state it is.
func (w *world) killOne(shim bool) {
	files, _ := filepath.Glob(w.root + "/containers/*/state.json")
	for _, file := range files {
		s, err := state.Read(filepath.Dir(file))
		if err != nil || !s.Live() {
			continue
		}
		pid := s.ShimPID
		if !shim {
			pid = s.PID
		}
		if pid > 0 && ours(w, pid) {
			_ = unix.Kill(pid, unix.SIGKILL) // it may just have ended
		}
	}
}

// ours reports whether a process is one of this test's programs.
func ours(w *world, pid int) bool {
	exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return err == nil && exe == w.program
}

// tellsTheTruth compares what ps says with the processes that exist.
func (w *world) tellsTheTruth(after string) {
	w.Helper()
	w.until("the state is true after "+after, func() bool {
		for _, line := range strings.Fields(w.ok("ps", "-a", "--format", "{{.ID}}={{.State}}")) {
			id, status, _ := strings.Cut(line, "=")
			s, err := state.Read(filepath.Join(w.root, "containers", id))
			if errors.Is(err, os.ErrNotExist) {
				return false
			}
			if err != nil {
				w.Fatal(err)
			}
			live := status == "running" || status == "paused" || status == "restarting"
			if live != s.Live() || live && !alive(s.ShimPID) || status == "running" && !alive(s.PID) {
				return false // its state is just changing: a container restarts, or a kill is under way
			}
		}
		return true
	})
}

// A command finds a shim dead, and before it removes what that has left, somebody
// else has started the container again: what is there is not removed, the command
// does not wait for it to go, and tells what is true now.
func TestStartedAgainWhenFoundDead(t *testing.T) {
	w := newWorld(t)
	w.ok("create", "--name", "web", "box", "true")
	id := w.ok("inspect", "-f", "{{.Id}}", "web")
	dir := filepath.Join(w.root, "containers", id)
	err := state.Write(dir, &state.State{Status: state.Running, ShimPID: 1 << 22})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/go-docker", 0o700); err != nil {
		t.Fatal(err)
	}
	record, err := lock.Create("/run/go-docker/"+id+".json", nil) // the new shim's
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan outcome)
	go func() { said <- w.do("ps", "-a", "--format", "{{.State}}") }()
	w.until("it is found dead", func() bool {
		text := w.read(filepath.Join(dir, "state.json"))
		return strings.Contains(text, string(state.Exited))
	})
	held, err := state.TryLock(dir)
	for errors.Is(err, lock.ErrHeld) { // by ps, which looks
		held, err = state.TryLock(dir)
	}
	if err == nil {
		err = state.Write(dir, &state.State{Status: state.Running, ShimPID: 1 << 22})
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := <-said; got != (outcome{0, "running\n", ""}) {
		t.Errorf("%+v", got)
	}
	if err := errors.Join(os.Remove(record.Name()), record.Close(), held.Close()); err != nil {
		t.Error(err)
	}
}

// If the shim is killed right after any step of a start, the state is true, and
// nothing is left after rm. The shim stops at named points for this.
func TestShimKilledWhileItStarts(t *testing.T) {
	w := newWorld(t)
	for i := range times(40) {
		id := w.ok("create", "--name", "web", "box", "sleep", "1000")
		cmd := w.command("start", "web")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The shim is the client's child until the client ends.
		var shim int
		for end := time.Now().Add(5 * time.Second); shim == 0 && time.Now().Before(end); {
			text, _ := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task/" + strconv.Itoa(cmd.Process.Pid) + "/children")
			tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task/*/children")
			for _, task := range tasks {
				more, _ := os.ReadFile(task)
				text = append(text, more...)
			}
			if fields := strings.Fields(string(text)); len(fields) > 0 {
				shim, _ = strconv.Atoi(fields[0])
			}
			if s, err := state.Read(filepath.Join(w.root, "containers", id)); err == nil && s.Live() {
				break
			}
		}
		if shim != 0 {
			time.Sleep(time.Duration(i) * 300 * time.Microsecond)
			_ = unix.Kill(shim, unix.SIGKILL)
		}
		_ = cmd.Wait()
		w.tellsTheTruth("start")
		w.ok("rm", "-f", "web")
		if left := w.leftovers(); len(left) > 0 {
			t.Fatalf("the shim was killed after %d00 µs: %q", 3*i, left)
		}
	}
}
