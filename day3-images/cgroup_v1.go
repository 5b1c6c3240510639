package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// counted are the controllers whose counters stats and the demo read.
var counted = map[int][]string{
	1: {"memory", "cpu", "cpuacct", "pids"},
	2: {"memory", "pids"}, // version 2 counts CPU time in every cgroup
}

// settingsV1 are the limits in version 1's files, in the order in which the
// kernel takes them. cgroup-v1/memory.rst, scheduler/sched-bwc.rst
func (l Limits) settingsV1() []setting {
	var s []setting
	if l.Memory > 0 {
		s = append(s, setting{"memory", "memory.limit_in_bytes", decimal(l.Memory), false})
		// memsw is memory and swap together and never below the memory
		// limit, so it comes second. Without it the kernel would swap the
		// container out instead of stopping it.
		if l.Swap != unlimited {
			s = append(s, setting{"memory", "memory.memsw.limit_in_bytes", decimal(l.Memory + l.Swap), true})
		}
	}
	if l.Reservation > 0 {
		s = append(s, setting{"memory", "memory.soft_limit_in_bytes", decimal(l.Reservation), false})
	}
	if l.CPUQuota > 0 {
		s = append(s, setting{"cpu", "cpu.cfs_period_us", decimal(cpuPeriod), false})
		s = append(s, setting{"cpu", "cpu.cfs_quota_us", decimal(l.CPUQuota), false})
	}
	if l.CPUShares > 0 {
		s = append(s, setting{"cpu", "cpu.shares", decimal(l.CPUShares), false})
	}
	if l.CPUs != "" {
		s = append(s, setting{"cpuset", "cpuset.cpus", l.CPUs, false})
	}
	if l.Pids > 0 {
		s = append(s, setting{"pids", "pids.max", decimal(l.Pids), false})
	}
	return s
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// inheritCPUSet fills in what a new cpuset of version 1 does not inherit: it
// starts with no CPUs and no memory nodes, and lets no process in until it has
// both. cpuset(7)
func inheritCPUSet(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return explain(err)
		}
		if len(strings.TrimSpace(string(own))) > 0 {
			continue
		}
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return err
		}
		if err := write(filepath.Join(dir, file), strings.TrimSpace(string(value))); err != nil {
			return err
		}
	}
	return nil
}

// openTasks opens the container's tasks files for init, which moves itself by
// writing 0 to each; what it then forks is born in the cgroup.
//
// Writing the child's process id from out here would do as well, but slowly:
// to move another process the kernel holds up every fork and exit on the
// machine and waits some 15 ms until it may; a thread that moves itself needs
// no such lock (cgroup_procs_write_start in kernel/cgroup/cgroup.c). And where
// cgroup.procs moves a whole process, tasks moves just one thread: init must
// write from the thread that forks.
func openTasks(dirs []string) ([]*os.File, error) {
	var files []*os.File
	for _, dir := range dirs {
		file, err := os.OpenFile(filepath.Join(dir, "tasks"), os.O_WRONLY, 0)
		if err != nil {
			return files, explain(err)
		}
		files = append(files, file)
	}
	return files, nil
}

// enterTasks is init's side of openTasks.
func enterTasks(files []*os.File) error {
	for _, file := range files {
		if _, err := file.WriteString("0"); err != nil {
			return fmt.Errorf("enter the cgroup: %w", explain(err))
		}
	}
	return nil
}

func readUsageV1(c *counters) Usage {
	return Usage{
		Memory:      c.number("memory", "memory.usage_in_bytes"),
		Swap:        c.keyed("memory", "memory.stat", "total_swap"),
		MemoryPeak:  c.number("memory", "memory.max_usage_in_bytes"),
		MemoryLimit: c.number("memory", "memory.limit_in_bytes"),
		Cache:       c.keyed("memory", "memory.stat", "total_inactive_file"),
		// With both limits the same, memsw is the one that is met, and only
		// its counter moves.
		LimitHits: c.number("memory", "memory.failcnt") + c.number("memory", "memory.memsw.failcnt"),
		OOMKills:  c.keyed("memory", "memory.oom_control", "oom_kill"),
		CPU:       c.number("cpuacct", "cpuacct.usage") / 1000,
		Throttled: c.keyed("cpu", "cpu.stat", "throttled_time") / 1000,
		Pids:      c.number("pids", "pids.current"),
	}
}
