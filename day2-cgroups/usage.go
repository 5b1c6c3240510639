package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage is what the kernel has counted for a cgroup.
type Usage struct {
	Memory      int64 // bytes now
	Swap        int64 // bytes now
	Cache       int64 // bytes of Memory that the kernel can take back at any time
	MemoryPeak  int64 // bytes; 0 where the kernel does not keep it
	MemoryLimit int64 // bytes; math.MaxInt64 for none
	LimitHits   int64 // times an allocation met the limit
	OOMKills    int64
	CPU         int64 // microseconds
	Throttled   int64 // microseconds it was ready to run and not allowed to
	Pids        int64 // processes and threads now
}

// usage reads the counters of the container.
func (r *record) usage() (Usage, error) { return readUsage(r.Version, r.Dirs) }

// readUsage reads the counters of a cgroup, given the directory of each of its
// controllers.
func readUsage(version int, dirs map[string]string) (Usage, error) {
	c := &counters{dirs: dirs}
	if version == 1 {
		return readUsageV1(c), c.err
	}
	return readUsageV2(c), c.err
}

// counters reads numbers from cgroup files and keeps the first error, so that
// a row of readings is checked once. A file that is not there counts 0: which
// files a controller has depends on the kernel's age and options.
type counters struct {
	dirs map[string]string
	err  error
}

// number reads a file that holds one number, or max.
func (c *counters) number(controller, file string) int64 {
	return c.parse(controller, file, func(text string) (string, bool) {
		return strings.TrimSpace(text), true
	})
}

// keyed reads one number from a file of "key number" lines.
func (c *counters) keyed(controller, file, key string) int64 {
	return c.parse(controller, file, func(text string) (string, bool) {
		for line := range strings.Lines(text) {
			if k, v, _ := strings.Cut(strings.TrimSpace(line), " "); k == key {
				return v, true
			}
		}
		return "", false
	})
}

func (c *counters) parse(controller, file string, find func(string) (string, bool)) int64 {
	dir, ok := c.dirs[controller]
	if !ok || c.err != nil {
		return 0
	}
	path := filepath.Join(dir, file)
	text, err := os.ReadFile(path)
	if gone(err) {
		if _, err = os.Stat(dir); err == nil {
			return 0
		}
	}
	if err != nil {
		c.err = err
		return 0
	}
	value, ok := find(string(text))
	if !ok {
		return 0
	}
	n, err := parseCounter(value)
	if err != nil {
		c.err = fmt.Errorf("read %s: %w", path, err)
	}
	return n
}

// parseCounter reads a number as the kernel writes it. No limit is "max" in
// version 2 and, in version 1, the greatest number of whole pages.
func parseCounter(s string) (int64, error) {
	if s == "max" {
		return math.MaxInt64, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if n >= maxMemory {
		return math.MaxInt64, nil
	}
	return int64(n), nil
}
