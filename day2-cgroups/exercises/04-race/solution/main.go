// From step 5, with a hog and a cgroup of the checker's. The child waits until it is in its cgroup, as in step 7.
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
		// One byte: we are in the cgroup, and so is all that we fork. End of file: the parent has given up.
		if n, _ := os.Stdin.Read(make([]byte, 1)); n == 0 {
			check(fmt.Errorf("the parent gave up"))
		}
		cmd := exec.Command(os.Getenv("HOG"), "30")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		check(cmd.Run())
		return
	}

	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	release, err := cmd.StdinPipe()
	check(err)
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
	_, err = release.Write([]byte("x"))
	check(err)
	check(cmd.Wait())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
