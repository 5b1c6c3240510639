package shim

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/lock"
	"example.com/go-docker/day5-networks/rootfs"
	"example.com/go-docker/day5-networks/state"
)

const boxed = "GO_DOCKER_TEST_BOX"

// TestMain runs the tests in a mount namespace with an empty /run: the records
// there are then of their own containers only, and nobody else sweeps them.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	if os.Getenv(boxed) != "" {
		if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
			fmt.Fprintln(os.Stderr, "mount a tmpfs on /run:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), boxed+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "start the tests in a mount namespace:", err)
	}
	os.Exit(cmd.ProcessState.ExitCode() & 0xff)
}

// newShim is a shim for a container that is always started again, in this
// process, with its lock and its socket; nothing of it is started yet.
func newShim(t *testing.T, script string) *shim {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start a container")
	}
	runtime.LockOSThread() // a container dies with the thread that has made it
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("the tests need busybox-static: ", err)
	}
	id := container.NewID()
	dir := filepath.Join(t.TempDir(), "containers", id)
	layer := filepath.Join(dir, "layer")
	for _, name := range []string{"upper", "work", "merged", "layer/bin", "layer/proc", "layer/sys", "layer/dev"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(layer+"/bin/busybox", program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	held, err := lock.Create(filepath.Join(dir, "lock"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &shim{dir: dir, signals: container.CatchSignals(), over: make(chan struct{}), stopped: make(chan struct{})}
	t.Cleanup(func() {
		s.signals.Release()
		held.Close()
	})
	err = state.WriteConfig(dir, &state.Config{
		Container: container.Container{
			ID: id, Args: []string{"/bin/busybox", "sh", "-c", script}, Hostname: id, Init: true,
			Root: &rootfs.Root{Workdir: "/", Overlay: rootfs.Overlay{
				Layers: []string{layer}, Upper: dir + "/upper", Work: dir + "/work", Merged: dir + "/merged",
			}},
		},
		Cgroup:  cgroup.Config{ID: id, Init: true},
		Restart: state.Policy{Name: "always"},
	})
	if err == nil {
		err = s.open()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.busy.Go(s.serve)
	return s
}

// A moment is what a container that is started again and again may just be doing
// when somebody ends it.
type moment struct {
	name, script string
	reach        func(s *shim) error // at that moment, it
	goOn         func(s *shim) error // does that
}

var moments = []moment{
	{
		name: "has just ended", script: "exit 3",
		reach: func(s *shim) error {
			err := s.start()
			if err == nil {
				_, err = s.process.Wait() // and nobody has recorded it yet
			}
			return err
		},
		goOn: func(s *shim) error { s.wait(); return nil },
	},
	{
		name: "is being started", script: "while :; do /bin/busybox sleep 1000; done",
		reach: func(s *shim) error { s.state.Status = state.Restarting; return nil },
		goOn: func(s *shim) error {
			err := s.start()
			if err == nil {
				s.wait()
			}
			return err
		},
	},
	{
		name:  "waits",
		reach: func(s *shim) error { s.state.Status = state.Restarting; return nil },
		goOn:  func(s *shim) error { return nil },
	},
}

// Whatever it is just doing, it ends for good, and who ends it succeeds. What is
// asked to end hears that, and is not killed some seconds later.
func TestEndsForGood(t *testing.T) {
	for _, m := range moments {
		for name, end := range map[string]func(s *shim) error{
			"kill":         func(s *shim) error { return s.kill(syscall.SIGKILL) },
			"kill -s TERM": func(s *shim) error { return s.kill(syscall.SIGTERM) },
			"stop":         func(s *shim) error { return s.stop(syscall.SIGTERM, 60) },
			"stop -t 0":    func(s *shim) error { return s.stop(syscall.SIGTERM, 0) },
		} {
			t.Run(m.name+", "+name, func(t *testing.T) {
				s := newShim(t, m.script)
				if err := m.reach(s); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- end(s) }()
				<-s.stopped
				time.Sleep(20 * time.Millisecond) // a mistake would have been made by now
				began := time.Now()
				if err := m.goOn(s); err != nil {
					t.Error(err)
				}
				if s.again(time.Minute) {
					t.Error("it is started again")
				}
				s.end()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("it took %v", took)
				}
				now, err := state.Read(s.dir)
				if err != nil || now.Status != state.Exited {
					t.Errorf("%+v, %v", now, err)
				}
			})
		}
	}
}

// A container that has run, and cannot be started now, is not one that waits for
// its next start: nobody is there who would start it.
func TestDoesNotStartAgain(t *testing.T) {
	s := newShim(t, "exit 3")
	s.state.Status, s.state.StartedAt, s.state.ExitCode = state.Exited, time.Now(), 3
	s.config.Container.Args = []string{"/nowhere"}
	if err := s.start(); err == nil {
		t.Error("it has started")
	}
	s.end()
	now, err := state.Read(s.dir)
	if err != nil || now.Status != state.Exited || now.ExitCode != 127 || now.Error == "" {
		t.Errorf("%+v, %v", now, err)
	}
}
