package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const inBox = "GO_DOCKER_TEST_BOX"

// Main runs a package's tests in a mount namespace, so that nobody else sees
// their mounts and none can be left behind. If that is not allowed they run
// without one: those that mount need root anyway.
func Main(m *testing.M) {
	runtime.LockOSThread() // the death signal is tied to the thread, prctl(2)
	if os.Geteuid() != 0 || os.Getenv(inBox) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inBox+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exited *exec.ExitError
	switch {
	case errors.Is(err, unix.EPERM):
		os.Exit(m.Run())
	case err != nil && !errors.As(err, &exited):
		fmt.Fprintln(os.Stderr, "start the tests in a mount namespace:", err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}
