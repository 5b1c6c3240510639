package container

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestInitCommand(t *testing.T) {
	const all = unix.CLONE_NEWPID | unix.CLONE_NEWUTS
	// The cgroup namespace is made later, in the right cgroup.
	cmd, err := initCommand(&Container{Namespaces: all | unix.CLONE_NEWCGROUP, Init: true}, Parent{})
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Path != "/proc/self/exe" || !isInit(cmd.Args) {
		t.Errorf("init is %s %q", cmd.Path, cmd.Args)
	}
	if cmd.Env == nil || len(cmd.Env) > 0 {
		t.Errorf("init's environment is %q, want an empty one", cmd.Env)
	}
	if cmd.Stdin != nil || cmd.Stdout != os.Stdout || cmd.Stderr != os.Stderr {
		t.Errorf("its streams are %v, %v, %v", cmd.Stdin, cmd.Stdout, cmd.Stderr)
	}
	attr := cmd.SysProcAttr
	if attr.Cloneflags != all || !attr.Setsid || attr.Setctty || attr.Pdeathsig != syscall.SIGKILL || attr.UidMappings != nil {
		t.Errorf("%+v", attr)
	}
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd, err = initCommand(&Container{Namespaces: unix.CLONE_NEWUSER}, Parent{Stdin: file, Stdout: file, Stderr: file})
	if err != nil || cmd.Stdin != file || cmd.Stdout != file || cmd.Stderr != file {
		t.Errorf("its streams are %v, %v, %v, want %v; %v", cmd.Stdin, cmd.Stdout, cmd.Stderr, file, err)
	}
	if cmd.SysProcAttr.UidMappings == nil || cmd.SysProcAttr.GidMappings == nil {
		t.Error("a user namespace without id maps")
	}
}
