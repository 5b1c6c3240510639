// Package limits turns the flags for memory, CPUs and processes into the
// description of a cgroup.
//
// It grew from day 2's rung 09-more-limits, adds Docker's units, and refuses
// values that the kernel would misread.
package limits

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day3-images/cgroup"
)

const (
	minMemory = 6 << 20 // Docker's minimum: with less, not even a process starts
	maxMemory = math.MaxInt64 &^ 4095
)

// Flags returns the flags that FromFlags reads, and the one that says where the
// cgroup goes.
func Flags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "memory", Aliases: []string{"m"}, Usage: "memory limit, like `100m`"},
		&urfave.StringFlag{Name: "memory-swap", Usage: "memory plus swap, like `200m`; -1: any (default: no swap)"},
		&urfave.StringFlag{Name: "memory-reservation", Usage: "memory to shrink to when the host runs low, like `50m`"},
		&urfave.StringFlag{Name: "cpus", Usage: "CPU time, as a `NUMBER` of CPUs like 0.5"},
		&urfave.StringFlag{Name: "cpu-shares", Aliases: []string{"c", "cpushare"}, Usage: "CPU `WEIGHT` relative to other containers, 2 to 262144"},
		&urfave.StringFlag{Name: "cpuset-cpus", Aliases: []string{"cpuset"}, Usage: "CPUs to run on, a `LIST` like 0-2,4"},
		&urfave.StringFlag{Name: "pids-limit", Usage: "`NUMBER` of processes and threads; 0 or -1: unlimited"},
		&urfave.StringFlag{Name: "cgroup-parent", Usage: "`PATH` of the cgroup in which to make the container's"},
	}
}

// FromFlags returns what the flags say about a container's cgroup. It checks
// everything that can be checked before anything is made. The kernel does not
// check for us: memory.limit_in_bytes takes 2^64 as 0.
func FromFlags(ctx *urfave.Context) (config cgroup.Config, err error) {
	config.Parent = ctx.String("cgroup-parent")
	if slices.Contains(strings.Split(config.Parent, "/"), "..") {
		return config, fmt.Errorf("invalid --cgroup-parent %q: .. leads out of it", config.Parent)
	}
	l := &config.Limits
	for _, f := range []struct {
		name  string
		value *int64
		parse func(string) (int64, error)
	}{
		{"memory", &l.Memory, parseMemory},
		{"memory-swap", &l.Swap, func(s string) (int64, error) { return parseSwap(s, l.Memory) }}, // after memory
		{"memory-reservation", &l.Reservation, parseMemory},
		{"cpus", &l.CPUQuota, parseCPUs},
		{"cpu-shares", &l.CPUShares, parseShares},
		{"pids-limit", &l.Pids, parsePids},
	} {
		if !ctx.IsSet(f.name) {
			continue
		}
		if *f.value, err = f.parse(ctx.String(f.name)); err != nil {
			return config, fmt.Errorf("invalid --%s %q: %w", f.name, ctx.String(f.name), err)
		}
	}
	if l.Reservation > 0 && l.Memory > 0 && l.Reservation > l.Memory {
		return config, errors.New("invalid --memory-reservation: greater than --memory")
	}
	l.CPUs = ctx.String("cpuset-cpus")
	if _, err := cgroup.ParseCPUs(l.CPUs); ctx.IsSet("cpuset-cpus") && err != nil {
		return config, fmt.Errorf("invalid --cpuset-cpus %q: %w", l.CPUs, err)
	}
	return config, nil
}

func parseMemory(s string) (int64, error) {
	n, err := ParseBytes(s)
	if err == nil && n < minMemory {
		return 0, errors.New("the minimum is 6m")
	}
	return n, err
}

// ParseBytes reads Docker's sizes: 100m is 100 MiB. go-units computes in
// floating point, so a number that does not fit in an int64 comes back negative
// or as the largest int64, depending on the processor. It also accepts 1e9g and
// 0x1p30, which nobody means.
func ParseBytes(s string) (int64, error) {
	n, err := units.RAMInBytes(s)
	if err != nil || strings.ContainsAny(s, "eExX") {
		return 0, errors.New("want a size like 100m or 1g")
	}
	if n < 0 || n > maxMemory {
		return 0, errors.New("out of range")
	}
	return n, nil
}

// parseSwap turns Docker's sum of memory and swap into the swap alone.
func parseSwap(s string, memory int64) (int64, error) {
	if memory == 0 {
		return 0, errors.New("needs --memory as well")
	}
	switch s {
	case "-1":
		return cgroup.Unlimited, nil
	case "0": // Docker's "not set"
		return 0, nil
	}
	sum, err := ParseBytes(s)
	if err == nil && sum < memory {
		err = errors.New("less than --memory: it is the sum of memory and swap")
	}
	return sum - memory, err
}

func parseCPUs(s string) (int64, error) {
	cpus, err := strconv.ParseFloat(s, 64)
	most := float64(runtime.NumCPU())
	if err != nil || !(cpus >= 0.01 && cpus <= most) { // written like this, NaN is refused
		return 0, fmt.Errorf("want a number from 0.01 to %g, the CPUs of this machine", most)
	}
	return int64(math.Round(cpus * cgroup.CPUPeriod)), nil
}

func parseShares(s string) (int64, error) { return parseNumber(s, 2, 262144) }

// parsePids treats -1 as unlimited, as Docker does.
func parsePids(s string) (int64, error) {
	if s == "-1" {
		return 0, nil
	}
	return parseNumber(s, 1, 4194304) // PID_MAX_LIMIT, proc(5)
}

// parseNumber reads a whole number, or 0, which to Docker is no limit, and to
// the kernel no process at all.
func parseNumber(s string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n != 0 && (n < least || n > most) {
		return 0, fmt.Errorf("want a number from %d to %d", least, most)
	}
	return n, nil
}
