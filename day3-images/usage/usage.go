// Package usage reads a cgroup's counters from either version's files. It grew
// from rung 09-more-limits, adds the other counters that the chapter shows, and
// copes with kernels that lack some and with cgroups that disappear meanwhile.
package usage

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Usage is what the kernel has counted for a cgroup.
type Usage struct {
	Memory      int64 // bytes now
	Swap        int64 // bytes now
	Cache       int64 // bytes of Memory that the kernel can take back at any time
	MemoryPeak  int64 // bytes; 0 if the kernel does not record it
	MemoryLimit int64 // bytes; math.MaxInt64: none
	LimitHits   int64 // times an allocation met the limit
	OOMKills    int64
	CPU         int64 // microseconds
	Pids        int64 // processes and threads now
}

// Read reads the counters of a cgroup, given the version of cgroups and the
// directory of each of its controllers. A controller without a directory counts
// 0. The error Is fs.ErrNotExist if the cgroup is gone.
func Read(version int, dirs map[string]string) (Usage, error) {
	c := &counters{}
	if version == 1 {
		return readV1(c, dirs), c.err
	}
	return readV2(c, dirs["memory"]), c.err // one directory has them all
}

// cgroup-v1/memory.rst, cpuacct.rst, pids.rst
func readV1(c *counters, dirs map[string]string) Usage {
	memory := dirs["memory"]
	return Usage{
		Memory:      c.number(memory, "memory.usage_in_bytes"),
		Swap:        c.keyed(memory, "memory.stat", "total_swap"),
		MemoryPeak:  c.number(memory, "memory.max_usage_in_bytes"),
		MemoryLimit: c.number(memory, "memory.limit_in_bytes"),
		Cache:       c.keyed(memory, "memory.stat", "total_inactive_file"),
		// If both limits are equal, memsw is hit first, and only its counter
		// moves.
		LimitHits: c.number(memory, "memory.failcnt") + c.number(memory, "memory.memsw.failcnt"),
		OOMKills:  c.keyed(memory, "memory.oom_control", "oom_kill"),
		CPU:       c.number(dirs["cpuacct"], "cpuacct.usage") / 1000,
		Pids:      c.number(dirs["pids"], "pids.current"),
	}
}

// cgroup-v2.rst, "Controllers"
func readV2(c *counters, dir string) Usage {
	return Usage{
		Memory:      c.number(dir, "memory.current"),
		Swap:        c.number(dir, "memory.swap.current"),
		MemoryPeak:  c.number(dir, "memory.peak"), // since Linux 5.19
		MemoryLimit: c.number(dir, "memory.max"),
		Cache:       c.keyed(dir, "memory.stat", "inactive_file"),
		LimitHits:   c.keyed(dir, "memory.events", "max"),
		OOMKills:    c.keyed(dir, "memory.events", "oom_kill"),
		CPU:         c.keyed(dir, "cpu.stat", "usage_usec"),
		Pids:        c.number(dir, "pids.current"),
	}
}

// counters reads numbers from cgroup files and keeps the first error, so that
// several reads need only one check. A missing file counts as 0: which files a
// controller has depends on the kernel's version and options.
type counters struct{ err error }

// number reads a file that holds one number or "max".
func (c *counters) number(dir, file string) int64 {
	return c.parse(dir, file, strings.TrimSpace)
}

// keyed reads one number from a file of "key number" lines.
func (c *counters) keyed(dir, file, key string) int64 {
	return c.parse(dir, file, func(text string) string {
		for line := range strings.Lines(text) {
			if k, v, found := strings.Cut(strings.TrimSpace(line), " "); found && k == key {
				return v
			}
		}
		return "0"
	})
}

func (c *counters) parse(dir, file string, find func(string) string) int64 {
	if dir == "" || c.err != nil {
		return 0
	}
	path := filepath.Join(dir, file)
	text, err := os.ReadFile(path)
	// Reading a file that was opened before its cgroup was removed fails with
	// ENODEV.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		if _, err = os.Stat(dir); err == nil {
			return 0
		}
	}
	if err != nil {
		c.err = err
		return 0
	}
	n, err := parseCounter(find(string(text)))
	if err != nil {
		c.err = fmt.Errorf("read %s: %w", path, err)
	}
	return n
}

// parseCounter parses a number as the kernel writes it. No limit is "max" in
// version 2 and the largest number of whole pages in version 1.
func parseCounter(s string) (int64, error) {
	const most = math.MaxInt64 &^ 4095
	if s == "max" {
		return math.MaxInt64, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if n >= most {
		return math.MaxInt64, nil
	}
	return int64(n), nil
}
