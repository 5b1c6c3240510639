// From step 5, with a hog and a cgroup of the checker's. Only the first fault is left: the child does not wait.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if os.Args[0] == "/proc/self/exe" {
		cmd := exec.Command(os.Getenv("HOG"), "30")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		check(cmd.Run())
		return
	}

	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	check(cmd.Start())

	limit := "memory.max"
	if os.Getenv("VERSION") == "1" {
		limit = "memory.limit_in_bytes"
	}
	cgroup := filepath.Join(os.Getenv("MEMORY"), "box")
	check(os.Mkdir(cgroup, 0o755))
	check(os.WriteFile(filepath.Join(cgroup, limit), []byte("100M"), 0))
	time.Sleep(3 * time.Second) // a busy machine may take as long as this: leave it here
	check(os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0))
	check(cmd.Wait())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
