package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"example.com/go-docker/day4-lifecycle/hierarchy"
)

// settingsV1 returns the limits for version 1's files, in an order that the
// kernel accepts. cgroup-v1/memory.rst, scheduler/sched-bwc.rst
func (l Limits) settingsV1() settings {
	var s settings
	s.add(l.Memory > 0, "memory.limit_in_bytes", l.Memory)
	// memsw limits memory and swap together and must not be below the memory
	// limit, so it comes second. Without it, the kernel would swap the
	// container out instead of stopping it.
	s.add(l.Memory > 0 && l.Swap != Unlimited, "memory.memsw.limit_in_bytes", l.Memory+l.Swap)
	s.add(l.Reservation > 0, "memory.soft_limit_in_bytes", l.Reservation)
	s.add(l.CPUQuota > 0, "cpu.cfs_period_us", CPUPeriod)
	s.add(l.CPUQuota > 0, "cpu.cfs_quota_us", l.CPUQuota)
	s.add(l.CPUShares > 0, "cpu.shares", l.CPUShares)
	s.add(l.CPUs != "", "cpuset.cpus", l.CPUs)
	s.add(l.Pids > 0, "pids.max", l.Pids)
	return s
}

// inheritCPUSet copies what a new cpuset of version 1 does not inherit: it
// starts with no CPUs and no memory nodes, and lets no process in until it has
// both. cpuset(7)
func inheritCPUSet(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return hierarchy.Explain(err)
		}
		if len(strings.TrimSpace(string(own))) > 0 {
			continue
		}
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return err
		}
		if err := hierarchy.Write(filepath.Join(dir, file), strings.TrimSpace(string(value))); err != nil {
			return err
		}
	}
	return nil
}

// openTasks opens the container's tasks files for init, which moves itself by
// writing 0 to each; whatever it then forks is born in the cgroup.
//
// Writing the child's process id from outside would work, too, but slowly: to
// move another process the kernel takes a lock that holds up every fork and
// exit on the machine, and waits some 15 ms for it; a thread that moves itself
// needs no such lock (cgroup_procs_write_start in kernel/cgroup/cgroup.c). And
// while cgroup.procs moves a whole process, tasks moves a single thread, so
// init must write from the thread that forks.
func openTasks(dirs []string) ([]*os.File, error) {
	var files []*os.File
	for _, dir := range dirs {
		file, err := os.OpenFile(filepath.Join(dir, "tasks"), os.O_WRONLY, 0)
		if err != nil {
			return files, hierarchy.Explain(err)
		}
		files = append(files, file)
	}
	return files, nil
}

// enterTasks is init's side of openTasks.
func enterTasks(file *os.File) error {
	if _, err := file.WriteString("0"); err != nil {
		return fmt.Errorf("enter the cgroup: %w", hierarchy.Explain(err))
	}
	return nil
}
