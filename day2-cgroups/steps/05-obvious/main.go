// Step 5. New: the article's program, in the obvious order: start the container, then limit it.
// Run: go build -o obvious ./day2-cgroups/steps/05-obvious && ./obvious, as root
// Still wrong: four things. Find them before you run 06-measure.sh.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "hog" {
		hog(200 << 20)
		return
	}
	if os.Args[0] == "/proc/self/exe" {
		fmt.Println("inside, my pid is", os.Getpid())
		cmd := exec.Command("/proc/self/exe", "hog")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		check(cmd.Run())
	}

	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	check(cmd.Start())
	fmt.Println("outside, its pid is", cmd.Process.Pid)

	hierarchy, tasks, limit := "/sys/fs/cgroup/memory", "tasks", "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil { // version 2
		hierarchy, tasks, limit = "/sys/fs/cgroup", "cgroup.procs", "memory.max"
	}
	cgroup := filepath.Join(hierarchy, "go-docker-demo-memory")
	check(os.Mkdir(cgroup, 0o755))
	check(os.WriteFile(filepath.Join(cgroup, tasks), []byte(strconv.Itoa(cmd.Process.Pid)), 0))
	check(os.WriteFile(filepath.Join(cgroup, limit), []byte("100m"), 0))
	check(cmd.Wait())
}

// hog wants memory, and writes to every page of it: before that, it is free.
func hog(size int) {
	memory := make([]byte, size)
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	fmt.Println("the hog has", len(memory)>>20, "MiB")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
