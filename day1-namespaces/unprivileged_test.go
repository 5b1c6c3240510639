package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day1-namespaces/container"
)

// TestWithoutRoot runs tests again as the user nobody.
func TestWithoutRoot(t *testing.T) {
	needRoot(t)
	tests := []string{
		"TestArgumentsArriveExactly", "TestBadInput", "TestDemoJSON", "TestDemoTable",
		"TestFileOwner", "TestHostName", "TestInitIsKilled", "TestJobControl",
		"TestNamespaceFlags", "TestNamespacesAreNewExactlyAsAsked", "TestNoDescriptorLeaks", "TestOrphansAreReaped",
		"TestParentIsKilled", "TestProcShowsTheContainerOnly", "TestStandardInput",
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run=^("+strings.Join(tests, "|")+")$")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TMPDIR=") && !strings.HasPrefix(e, "GO_DOCKER_MUST_RUN=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	out, err := cmd.CombinedOutput()
	need(t, !strings.Contains(string(out), "--- SKIP"), "a machine that lets plain users make namespaces")
	if passed := len(regexp.MustCompile(`(?m)^--- PASS`).FindAll(out, -1)); err != nil || passed != len(tests) {
		t.Errorf("%d of %d tests passed, %v:\n%s", passed, len(tests), err, out)
	}
}

func TestFileOwner(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.Chmod(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	finish(t, inContainer(t, "sh", "-c", "id -u; id -g; umask 0; >"+file)).want(t, "0\n0\n")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid() {
		t.Errorf("root inside made a file of %d:%d, want %d:%d", owner.Uid, owner.Gid, os.Geteuid(), os.Getegid())
	}
}

// In a user namespace of its own, a test may set limits that otherwise only an
// administrator may set.
func TestLimitIsExplained(t *testing.T) {
	needNamespaces(t)
	for _, limit := range []string{"user", "net"} {
		cmd := throughShell(inContainer(t, "true"), "echo 0 >/proc/sys/user/max_"+limit+`_namespaces; exec "$@"`)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
		got := finish(t, cmd)
		if got.status != container.RuntimeError {
			t.Errorf("%s: status %d, want %d", limit, got.status, container.RuntimeError)
		}
		got.wantOneError(t, "no space left on device: namespaces are nested too deep, or a limit in /proc/sys/user is reached")
	}
}

func TestMissingCapabilityIsExplained(t *testing.T) {
	needRoot(t)
	runtime.LockOSThread() // the thread drops what its children must not have, and ends with the test
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	got := finish(t, program(t, "run", "--uts", "true"))
	if got.status != container.RuntimeError {
		t.Errorf("status %d, want %d", got.status, container.RuntimeError)
	}
	got.wantOneError(t, "operation not permitted: this machine does not let us make namespaces: scripts/doctor.sh says why")
}
