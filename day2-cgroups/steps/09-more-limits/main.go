// Step 9. New: limits are data, files and what to write to them: memory, cpu and pids, for any command.
// Run: go build -o limited ./day2-cgroups/steps/09-more-limits && ./limited -m 100m; ./limited -pids 9 sh, as root
// Still wrong: kill -9 leaves the cgroups; and exit statuses, signals and orphans are as in day 1's step 10.
package main

import (
	"flag"
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

// A cgroup is a directory to make, what to write to its files, in order, and what to read at the end.
type cgroup struct {
	hierarchy string
	limits    []limit
	proof     []string
}

type limit struct{ file, value string }

func cgroups(memory string, cpus float64, pids int) []cgroup {
	quota, most := strconv.Itoa(int(cpus*100000)), strconv.Itoa(pids) // quota: microseconds of every 100000
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return []cgroup{{"/sys/fs/cgroup",
			[]limit{{"memory.max", memory}, {"memory.swap.max", "0"}, {"cpu.max", quota + " 100000"}, {"pids.max", most}},
			[]string{"memory.events", "cpu.stat", "pids.events"}}}
	}
	return []cgroup{ // version 1 has a hierarchy for each controller, and counts memory and swap together
		{"/sys/fs/cgroup/memory", []limit{{"memory.limit_in_bytes", memory}, {"memory.memsw.limit_in_bytes", memory}},
			[]string{"memory.oom_control"}},
		{"/sys/fs/cgroup/cpu", []limit{{"cpu.cfs_quota_us", quota}}, []string{"cpu.stat"}},
		{"/sys/fs/cgroup/pids", []limit{{"pids.max", most}}, []string{"pids.events"}},
	}
}

func main() {
	switch {
	case os.Args[0] != "/proc/self/exe": // as you started it
		check(parent())
	case os.Args[1] == "hog": // as the child starts it
		hog(200 << 20)
	default: // the child: process 1 of the container, with the arguments N COMMAND [ARG...]
		n, err := strconv.Atoi(os.Args[1])
		check(err)
		check(runIn(n, exec.Command(os.Args[2], os.Args[3:]...)))
	}
}

// runIn runs cmd in the n cgroups whose directories are open from descriptor 3 on.
func runIn(n int, cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	syscall.CloseOnExec(3) // the command could open files of its cgroup through it, and lift the limit
	if unix.Faccessat(3, "tasks", unix.F_OK, 0) == unix.ENOENT {
		// Version 2: a child can be made in any cgroup. clone3(2), CLONE_INTO_CGROUP, Linux 5.7
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: 3}
		return cmd.Run()
	}
	// Version 1: a child starts in the cgroup of the thread that makes it. So move this thread,
	// and only this one: in tasks, 0 means the thread that writes. cgroup-v1/cgroups.rst, 2.2
	// Go may continue us on another thread at any line, unless we lock this one. It stays locked,
	// or another goroutine could make its children on it.
	runtime.LockOSThread()
	for dir := 3; dir < 3+n; dir++ {
		syscall.CloseOnExec(dir)
		if err := moveTo(dir); err != nil {
			return err
		}
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
	memory := flag.String("m", "100m", "`BYTES` of memory, or with k, m or g")
	cpus := flag.Float64("cpus", 0.5, "`PROCESSORS`")
	pids := flag.Int("pids", 100, "`NUMBER` of processes and threads")
	flag.Parse() // up to the first word that is no flag: there the command begins
	cmd := exec.Command("/proc/self/exe")
	for _, c := range cgroups(*memory, *cpus, *pids) {
		path := filepath.Join(c.hierarchy, "go-docker-step."+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		defer func() { // print the proof and remove what was made, whatever happens below
			for _, file := range c.proof {
				text, _ := os.ReadFile(filepath.Join(path, file))
				fmt.Println(file+":", strings.Join(strings.Fields(string(text)), " "))
			}
			if e := os.Remove(path); err == nil {
				err = e
			}
		}()
		for _, l := range c.limits {
			err := os.WriteFile(filepath.Join(path, l.file), []byte(l.value), 0)
			// without the file, swap or memsw, the kernel does not count swap
			noSwap := strings.Contains(l.file, "sw") && (os.IsNotExist(err) || os.IsPermission(err))
			if err != nil && !noSwap {
				return err
			}
		}
		dir, err := os.Open(path)
		if err != nil {
			return err
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, dir) // there they are descriptors 3, 4, ...
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL, // whatever ends us: day 1's step 11
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Args = append(append(cmd.Args, strconv.Itoa(len(cmd.ExtraFiles))), flag.Args()...)
	if flag.NArg() == 0 {
		cmd.Args = append(cmd.Args, "/proc/self/exe", "hog")
	}
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
