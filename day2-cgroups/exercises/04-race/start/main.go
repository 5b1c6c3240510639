// A child that does not wait for its limit.
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
	if len(os.Args) > 1 {
		child()
		return
	}
	if err := parent(); err != nil {
		fmt.Fprintln(os.Stderr, "parent:", err)
		os.Exit(1)
	}
}

func parent() error {
	box := filepath.Join(os.Getenv("MEMORY"), "box")
	if err := os.Mkdir(box, 0o755); err != nil {
		return err
	}
	limit := "memory.max"
	if os.Getenv("VERSION") == "1" {
		limit = "memory.limit_in_bytes"
	}
	if err := os.WriteFile(filepath.Join(box, limit), []byte("100M"), 0); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", "child")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // a busy machine may take as long as this: leave it here
	pid := []byte(strconv.Itoa(cmd.Process.Pid))
	if err := os.WriteFile(filepath.Join(box, "cgroup.procs"), pid, 0); err != nil {
		return err
	}
	return cmd.Wait()
}

func child() {
	hog := exec.Command(os.Getenv("HOG"), "30")
	hog.Stdout, hog.Stderr = os.Stdout, os.Stderr
	if err := hog.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}
