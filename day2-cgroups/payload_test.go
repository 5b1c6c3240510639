package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// payload is what this binary does in the tests where a shell cannot.
func payload(name string, args []string) int {
	err := map[string]func([]string) error{
		"threads":  threads,
		"spin":     spin,
		"affinity": affinity,
		"cover":    cover,
		"enter":    enter,
		"nested":   nested,
	}[name](args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		return 99
	}
	return 0
}

// threads keeps running with 8 threads and an orphan.
func threads([]string) error {
	if err := exec.Command("sh", "-c", "sleep 1000 &").Run(); err != nil {
		return err
	}
	var running sync.WaitGroup
	for range 8 {
		running.Add(1)
		go func() {
			runtime.LockOSThread()
			running.Done()
			select {}
		}()
	}
	running.Wait()
	fmt.Println("ready")
	time.Sleep(time.Hour)
	return nil
}

// spin keeps one CPU busy for a while, prints how many microseconds of CPU time
// it got in how many microseconds, and keeps running.
func spin(args []string) error {
	long, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	started, before := time.Now(), cpuTime()
	for time.Since(started) < long {
	}
	fmt.Println(cpuTime()-before, "µs in", time.Since(started).Microseconds(), "µs")
	time.Sleep(time.Hour)
	return nil
}

func cpuTime() int64 {
	var used unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &used) // cannot fail
	return (used.Utime.Nano() + used.Stime.Nano()) / 1000
}

// affinity prints the CPUs it may run on.
func affinity([]string) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	for cpu := range runtime.NumCPU() + 64 {
		if set.IsSet(cpu) {
			fmt.Println(cpu)
		}
	}
	return nil
}

// cover runs the program in a mount namespace in which some directories are
// covered: by an empty tmpfs, or by themselves, read-only. It then prints what
// is in the first.
//
//	cover tmpfs|read-only DIR... -- ARG...
func cover(args []string) error {
	split := slices.Index(args, "--")
	for _, dir := range args[1:split] {
		var err error
		if args[0] == "tmpfs" {
			err = unix.Mount("cover", dir, "tmpfs", 0, "mode=755")
		} else if err = unix.Mount(dir, dir, "", unix.MS_BIND, ""); err == nil {
			err = unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}
		if err != nil {
			return fmt.Errorf("cover %s: %w", dir, err)
		}
	}
	cmd := exec.Command("/proc/self/exe", args[split+1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	_ = cmd.Run()
	status := statusOf(cmd)
	if args[0] == "tmpfs" {
		entries, err := os.ReadDir(args[1])
		if err != nil {
			return err
		}
		for _, e := range entries {
			fmt.Println("in the tmpfs:", e.Name())
		}
	}
	os.Exit(status)
	return nil
}

// enter moves into cgroups, becomes the user nobody and runs the program.
//
//	enter DIR... -- ARG...
func enter(args []string) error {
	split := slices.Index(args, "--")
	for _, dir := range args[:split] {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(nobody); err != nil {
		return err
	}
	if err := syscall.Setuid(nobody); err != nil {
		return err
	}
	// setuid(2) has made us undumpable, so root owns our files in /proc. Exec
	// makes us dumpable again.
	return syscall.Exec("/proc/self/exe", append([]string{strings.Join(args[:split], " ")}, args[split+1:]...), os.Environ())
}

const nobody = 65534

// nested turns the new cgroup and mount namespace in which it was started into
// the inside of a container with version 2. Then it runs the program, in a
// child of the top cgroup if one is named.
//
//	nested [CHILD] -- ARG...
func nested(args []string) error {
	split := slices.Index(args, "--")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH); err != nil {
		return err
	}
	if err := unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, ""); err != nil {
		return err
	}
	for _, child := range args[:split] {
		dir := filepath.Join("/sys/fs/cgroup", child)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	return syscall.Exec("/proc/self/exe", append([]string{"go-docker"}, args[split+1:]...), os.Environ())
}
