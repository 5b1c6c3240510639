package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"example.com/go-docker/day3-images/hierarchy"
)

// settingsV2 returns the limits for version 2's files. cgroup-v2.rst,
// "Controllers"
func (l Limits) settingsV2() settings {
	var s settings
	s.add(l.Memory > 0, "memory.max", l.Memory)
	// Unlike version 1's memsw, this is the swap alone.
	s.add(l.Memory > 0 && l.Swap != Unlimited, "memory.swap.max", l.Swap)
	s.add(l.Reservation > 0, "memory.low", l.Reservation)
	s.add(l.CPUQuota > 0, "cpu.max", fmt.Sprintf("%d %d", l.CPUQuota, CPUPeriod))
	s.add(l.CPUShares > 0, "cpu.weight", weight(l.CPUShares))
	s.add(l.CPUs != "", "cpuset.cpus", l.CPUs)
	s.add(l.Pids > 0, "pids.max", l.Pids)
	return s
}

// weight turns version 1's shares, 2 to 262144 with a default of 1024, into
// version 2's weight, 1 to 10000 with a default of 100. It is the curve through
// these three points that runc and crun have used since 2025; the straight line
// they used before turned the default into 39.
func weight(shares int64) int64 {
	l := math.Log2(float64(shares))
	return int64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// enable makes the cgroup dir pass controllers on to its children: in version 2
// a controller's files appear only where the parent has enabled it.
// cgroup-v2.rst, "Enabling and Disabling"
func enable(dir string, controllers []string) error {
	file := filepath.Join(dir, "cgroup.subtree_control")
	text, err := os.ReadFile(file)
	if err != nil {
		return hierarchy.Explain(err)
	}
	var missing []string
	for _, name := range controllers {
		if !slices.Contains(strings.Fields(string(text)), name) {
			missing = append(missing, "+"+name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	err = hierarchy.Write(file, strings.Join(missing, " "))
	if errors.Is(err, fs.ErrNotExist) && enable(filepath.Dir(dir), controllers) == nil {
		err = hierarchy.Write(file, strings.Join(missing, " "))
	}
	return err
}

// checkEffective checks that the container gets the CPUs it asked for. Version
// 2 accepts any list and, if the parent cgroup does not have those CPUs, uses
// others. cgroup-v2.rst, "Cpuset"
func checkEffective(dir, asked string) error {
	file := filepath.Join(dir, "cpuset.cpus.effective")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	got, err1 := ParseCPUs(strings.TrimSpace(string(text)))
	want, err2 := ParseCPUs(asked)
	if err1 != nil || err2 != nil || !maps.Equal(got, want) {
		return fmt.Errorf("set cpuset.cpus to %q: %s is %q: this machine, or the cgroup above, does not have all of these CPUs", asked, file, strings.TrimSpace(string(text)))
	}
	return nil
}

// cloneInto makes the process be born in the cgroup: clone3(2),
// CLONE_INTO_CGROUP, since Linux 5.7. It never runs outside, and there is no
// lock to wait for.
func cloneInto(attr *syscall.SysProcAttr, dir uintptr) {
	attr.UseCgroupFD = true
	attr.CgroupFD = int(dir)
}
