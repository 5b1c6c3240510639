// From step 9: process 1 no longer becomes the command, it starts it, and waits for orphans as well.
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
	if os.Args[0] == "inside" {
		inside()
		return
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"inside"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	check(cmd.Run())
}

// inside is process 1.
func inside() {
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	check(cmd.Start())
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil) // any child, so the adopted ones as well
		if err == syscall.EINTR {
			continue
		}
		check(err)
		if pid == cmd.Process.Pid {
			os.Exit(status.ExitStatus())
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
