package cgroup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits says how much a container may use. A zero field keeps the kernel's
// default.
type Limits struct {
	Memory      int64  // bytes
	Swap        int64  // bytes of swap on top of Memory, or Unlimited; ignored without Memory
	Reservation int64  // bytes
	CPUQuota    int64  // microseconds of CPU time in each CPUPeriod
	CPUShares   int64  // relative weight, 2 to 262144; the default is 1024
	CPUs        string // a list like 0-2,4
	Pids        int64  // processes and threads
}

const (
	CPUPeriod = 100_000 // microseconds, the kernel's default
	Unlimited = -1
)

// A setting is one value for one file, whose name begins with that of its
// controller.
type setting struct{ file, value string }

// optional reports whether the kernel may lack the file: swap accounting can be
// turned off at boot.
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

// settings returns the limits as files and values for one version of cgroups.
func (l Limits) settings(version int) settings {
	if version == 1 {
		return l.settingsV1()
	}
	return l.settingsV2()
}

// ParseCPUs reads the kernel's list format, cpuset(7): 0-2,4.
func ParseCPUs(list string) (map[int]bool, error) {
	const most = 8192 // no architecture allows a larger CONFIG_NR_CPUS
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
