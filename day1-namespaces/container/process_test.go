package container

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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

// The command may already run, and have said so, before we know. A signal that
// comes in between is the command's, SIGCONT too.
func TestEarlySignalIsKept(t *testing.T) {
	for sig, name := range map[syscall.Signal]string{syscall.SIGCONT: "CONT", syscall.SIGUSR1: "USR1"} {
		cmd := exec.Command("sh", "-c", "trap 'exit 7' "+name+"; echo ready; while :; do sleep 0.01; done")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		report, init, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer report.Close()
		// While a file is read, synctest's clock stands: however busy the machine, this start never hangs.
		synctest.Test(t, func(t *testing.T) {
			caught := make(chan os.Signal) // which holds none: sending waits until it is taken
			p := &Process{cmd: cmd, pipes: &pipes{report: report}, parent: Parent{Signals: &Signals{caught: caught}}}
			running := make(chan error, 1)
			go func() { running <- p.untilRunning() }()
			caught <- sig
			if err := init.Close(); err != nil { // init's report: the command runs
				t.Fatal(err)
			}
			if err := <-running; err != nil {
				t.Errorf("SIG%s: %v", name, err)
			}
		})
		ended := make(chan int, 1)
		go func() {
			_ = cmd.Wait()
			ended <- cmd.ProcessState.ExitCode()
		}()
		select {
		case status := <-ended:
			if status != 7 {
				t.Errorf("SIG%s: the command ended with %d", name, status)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("SIG%s never reached the command", name)
		}
	}
}
