package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain runs the tests in a mount namespace with an empty /run, so that the
// records in it are their own.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv("GO_DOCKER_TEST_BOX") != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "GO_DOCKER_TEST_BOX=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	_ = cmd.Run() // its status is used below
	os.Exit(max(cmd.ProcessState.ExitCode(), 0))
}

func emptyRun(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
		return
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
}

// The start of an ID is enough, but nothing is not one.
func TestRunning(t *testing.T) {
	emptyRun(t)
	r := &Record{ID: "0123456789ab"}
	if err := r.write(); err != nil {
		t.Fatal(err)
	}
	for _, ids := range [][]string{nil, {"0123456789ab"}, {"0"}} {
		if got, err := Running(ids); err != nil || len(got) != 1 || got[0].ID != r.ID {
			t.Errorf("%q: %v, %v", ids, got, err)
		}
	}
	for _, id := range []string{"", "1", "0123456789abc"} {
		if got, err := Running([]string{id}); err == nil {
			t.Errorf("%q: %v", id, got)
		}
	}
	if err := r.cleanUp(); err != nil {
		t.Error(err)
	}
}

// The last container to end removes the directory just as another one starts.
func TestRecordDirectoryGoesAway(t *testing.T) {
	emptyRun(t)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 500 {
				r := &Record{ID: fmt.Sprintf("0123456789a%d", i)}
				if err := r.write(); err != nil {
					t.Error(err)
					return
				}
				if err := r.cleanUp(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if _, err := os.Stat(recordDir()); !os.IsNotExist(err) {
		t.Errorf("%s: %v", recordDir(), err)
	}
}
