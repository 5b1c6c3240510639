// A container whose PID 1 waits for everybody.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Ten shells start a sleep each and end: ten orphans.
const script = `for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 1 &); done; exec tail -f /dev/null`

func main() {
	if len(os.Args) > 1 {
		os.Exit(containerInit())
	}
	cmd := exec.Command("/proc/self/exe", "init")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "container:", err)
		os.Exit(1)
	}
}

// containerInit is PID 1.
func containerInit() int {
	command, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the command:", err)
		return 127
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil) // any child, so the adopted ones as well
		switch {
		case err == syscall.EINTR:
		case err != nil:
			fmt.Fprintln(os.Stderr, "wait:", err)
			return 125
		case pid == command:
			return status.ExitStatus()
		}
	}
}
