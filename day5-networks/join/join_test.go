package join

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/confine"
)

// A command that is killed before it has its limits, as by the end of its
// container, leaves its status for whoever waits for it.
func TestKilledBeforeLimits(t *testing.T) {
	runtime.LockOSThread() // the tracer is a thread, ptrace(2)
	defer runtime.UnlockOSThread()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.StartProcess(sleep, []string{"sleep", "1000"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Ptrace: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	limits := []confine.Rlimit{{Resource: unix.RLIMIT_NOFILE, Soft: 77, Hard: 88}}
	if err := limitAndRelease(p.Pid, nil, limits); !errors.Is(err, unix.ESRCH) {
		t.Errorf("%v", err)
	}
	ended, err := p.Wait()
	if err != nil || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("%v, %v", ended, err)
	}
}
