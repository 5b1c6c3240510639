// A child that waits until it is in its cgroup.
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
	release, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // a busy machine may take as long as this: leave it here
	pid := []byte(strconv.Itoa(cmd.Process.Pid))
	if err := os.WriteFile(filepath.Join(box, "cgroup.procs"), pid, 0); err != nil {
		return err
	}
	if _, err := release.Write([]byte("x")); err != nil {
		return fmt.Errorf("release the child: %w", err)
	}
	return cmd.Wait()
}

func child() {
	// One byte: we are in the cgroup, and so is all that we fork. End of file: the parent has given up.
	if n, _ := os.Stdin.Read(make([]byte, 1)); n == 0 {
		fmt.Fprintln(os.Stderr, "child: the parent gave up")
		os.Exit(125)
	}
	hog := exec.Command(os.Getenv("HOG"), "30")
	hog.Stdout, hog.Stderr = os.Stdout, os.Stderr
	if err := hog.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}
