// Step 7. New: the same program with its four faults mended, and no escape into swap.
// Run: go build -o fixed ./day2-cgroups/steps/07-fixed && ./fixed, as root
// Still wrong: at every start the child waits for the parent to write its number; and kill -9 leaves the cgroup.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "hog" {
		hog(200 << 20)
		return
	}
	if os.Args[0] == "/proc/self/exe" {
		// Fault 1, the race: block until the parent has moved us into the cgroup.
		// What is forked after that starts there.
		if n, _ := os.Stdin.Read(make([]byte, 1)); n == 0 {
			check(fmt.Errorf("the parent gave up"))
		}
		fmt.Println("inside, my pid is", os.Getpid())
		cmd := exec.Command("/proc/self/exe", "hog")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		check(cmd.Run())
		return // Fault 2: without this the child goes on as a second parent.
	}
	check(parent())
}

func parent() (err error) {
	hierarchy, limit, peak := "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"
	swap, noSwap := "memory.memsw.limit_in_bytes", "100m" // version 1 counts memory and swap together
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		hierarchy, limit, peak = "/sys/fs/cgroup", "memory.max", "memory.peak"
		swap, noSwap = "memory.swap.max", "0"
	}
	// Fault 3: a name of its own, or the second run stops at "file exists".
	cgroup := filepath.Join(hierarchy, "go-docker-step."+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		return err
	}
	// Fault 4: remove what was made, whatever happens below.
	defer func() {
		if e := os.Remove(cgroup); err == nil {
			err = e
		}
	}()
	if err := os.WriteFile(filepath.Join(cgroup, limit), []byte("100m"), 0); err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(cgroup, swap), []byte(noSwap), 0)
	if err != nil && !os.IsNotExist(err) && !os.IsPermission(err) { // no such file: the kernel does not count swap
		return err
	}

	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL, // whatever ends us: day 1's step 11
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	release, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println("outside, its pid is", cmd.Process.Pid)
	// cgroup.procs moves the whole process; tasks would move just one of the
	// threads that a Go program has from the start, and maybe not the one
	// that forks.
	pid := []byte(strconv.Itoa(cmd.Process.Pid))
	if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), pid, 0); err != nil {
		release.Close() // the child reads end of file and ends
		cmd.Wait()
		return err
	}
	if _, err := release.Write([]byte("x")); err != nil {
		return err
	}
	err = cmd.Wait()
	text, _ := os.ReadFile(filepath.Join(cgroup, peak)) // memory.peak: since Linux 5.19
	fmt.Println("at its peak the container had", strings.TrimSpace(string(text)), "bytes")
	return err
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
