package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// payload is what this binary does in the tests where a shell cannot.
func payload(name string, args []string) int {
	err := map[string]func([]string) error{
		"exchange": exchange,
		"limits":   printLimits,
	}[name](args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		return 99
	}
	return 0
}

// exchange swaps two names forever.
func exchange(args []string) error {
	for {
		if err := unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], unix.RENAME_EXCHANGE); err != nil {
			return err
		}
	}
}

// printLimits finds its cgroups like a language runtime, from mountinfo and
// /proc/self/cgroup, and prints its limits.
func printLimits([]string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(own)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy-ID:controller-list:path
		for _, m := range mounts {
			if m.FSType == "cgroup2" && f[1] != "" || m.FSType == "cgroup" && !strings.Contains(","+m.VFSOptions+",", ","+f[1]+",") {
				continue
			}
			below, err := filepath.Rel(m.Root, f[2])
			if err != nil {
				return err
			}
			for _, name := range []string{"cpu.max", "cpu.cfs_quota_us", "memory.max", "memory.limit_in_bytes"} {
				if text, err := os.ReadFile(filepath.Join(m.Mountpoint, below, name)); err == nil {
					fmt.Print(name, " ", string(text))
				}
			}
		}
	}
	fmt.Println("GOMAXPROCS", runtime.GOMAXPROCS(0))
	return nil
}
