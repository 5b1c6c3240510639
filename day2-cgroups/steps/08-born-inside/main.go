// Step 8. New: the hog is born in its cgroup: nobody waits, and no process is moved.
// Run: go build -o born ./day2-cgroups/steps/08-born-inside && ./born, as root
// Still wrong: one limit and one command, both in the code; and in version 1 our main thread goes in, too.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	switch {
	case os.Args[0] != "/proc/self/exe": // as you started it
		check(parent())
	case len(os.Args) > 1: // as the child starts it
		hog(200 << 20)
	default: // the child: process 1 of the container
		fmt.Println("inside, my pid is", os.Getpid())
		check(runIn(3, exec.Command("/proc/self/exe", "hog"))) // 3: parent has opened it
	}
}

// runIn runs cmd in the cgroup whose directory is open as descriptor dir.
func runIn(dir int, cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	syscall.CloseOnExec(dir) // the command could open files of its cgroup through it, and lift the limit
	if unix.Faccessat(dir, "tasks", unix.F_OK, 0) == unix.ENOENT {
		// Version 2: a child can be made in any cgroup. clone3(2), CLONE_INTO_CGROUP, Linux 5.7
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: dir}
		return cmd.Run()
	}
	// Version 1: a child starts in the cgroup of the thread that makes it. So move this thread,
	// and only this one: in tasks, 0 means the thread that writes. cgroup-v1/cgroups.rst, 2.2
	// Go may continue us on another thread at any line, unless we lock this one. It stays locked,
	// or another goroutine could make its children on it.
	runtime.LockOSThread()
	if err := moveTo(dir); err != nil {
		return err
	}
	return cmd.Run()
}

// moveTo moves the calling thread to the version 1 cgroup whose directory is open.
func moveTo(dir int) error {
	tasks, err := unix.Openat(dir, "tasks", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(tasks, []byte("0"))
	return err
}

func parent() (err error) {
	hierarchy, limit, peak := "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"
	swap, noSwap := "memory.memsw.limit_in_bytes", "100m" // version 1 counts memory and swap together
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		hierarchy, limit, peak = "/sys/fs/cgroup", "memory.max", "memory.peak"
		swap, noSwap = "memory.swap.max", "0"
	}
	path := filepath.Join(hierarchy, "go-docker-step."+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	defer func() { // print the proof and remove what was made, whatever happens below
		text, _ := os.ReadFile(filepath.Join(path, peak)) // memory.peak: since Linux 5.19
		fmt.Println(peak+":", strings.TrimSpace(string(text)))
		if e := os.Remove(path); err == nil {
			err = e
		}
	}()
	if err := os.WriteFile(filepath.Join(path, limit), []byte("100m"), 0); err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(path, swap), []byte(noSwap), 0)
	if err != nil && !os.IsNotExist(err) && !os.IsPermission(err) { // no such file: the kernel does not count swap
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL, // whatever ends us: day 1's step 11
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{dir} // there it is descriptor 3
	return cmd.Run()
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
