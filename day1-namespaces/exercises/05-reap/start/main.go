// A container whose PID 1 does half of its work: its orphans become zombies.
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
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(command, &status, 0, nil); err != nil {
		fmt.Fprintln(os.Stderr, "wait for the command:", err)
		return 125
	}
	return status.ExitStatus()
}
