// Step 8. New: a shell with a host name and process ids of its own, by two flags of clone(2).
// Run: go run ./day1-namespaces/steps/08-new-names, as root, then hostname box; hostname; echo $$; ps -e
// Still wrong: ps lists the processes of the whole machine, and we had to name the box by hand.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	cmd := exec.Command("sh")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID,
	}
	check(cmd.Run())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
