package cgroup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits are what a container may use. A zero field leaves the kernel's
// default alone.
type Limits struct {
	Memory      int64  // bytes
	Swap        int64  // bytes of swap on top of Memory, or Unlimited. Counts only with Memory
	Reservation int64  // bytes
	CPUQuota    int64  // microseconds of CPU time in each CPUPeriod
	CPUShares   int64  // relative weight, 2 to 262144; the default is 1024
	CPUs        string // list like 0-2,4
	Pids        int64  // processes and threads
}

const (
	CPUPeriod = 100_000 // microseconds, the kernel's default
	Unlimited = -1
)

// A setting is one value for one file, whose name begins with its controller's.
type setting struct{ file, value string }

// optional tells whether the kernel may have been booted without the file: it
// need not account for swap.
func (s setting) optional() bool {
	return s.file == "memory.memsw.limit_in_bytes" || s.file == "memory.swap.max"
}

func (s setting) controller() string { return strings.SplitN(s.file, ".", 2)[0] }

type settings []setting

func (s *settings) add(wanted bool, file string, value any) {
	if wanted {
		*s = append(*s, setting{file, fmt.Sprint(value)})
	}
}

// settings are the limits as files and values of one version of cgroups.
func (l Limits) settings(version int) settings {
	if version == 1 {
		return l.settingsV1()
	}
	return l.settingsV2()
}

// ParseCPUs reads the kernel's list format, cpuset(7): 0-2,4.
func ParseCPUs(list string) (map[int]bool, error) {
	const most = 8192 // CONFIG_NR_CPUS is nowhere greater
	cpus := map[int]bool{}
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 32)
		last, err2 := strconv.ParseUint(high, 10, 32)
		if err1 != nil || err2 != nil || first > last || last >= most {
			return nil, errors.New("want a list of CPUs like 0-2,4")
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus[int(cpu)] = true
		}
	}
	return cpus, nil
}
