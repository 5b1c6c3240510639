package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// While a container runs, the kernel's files hold what was asked for.
func TestKernelHoldsLimits(t *testing.T) {
	kernelTest(t)
	c := begin(t, contained(t, append([]string{
		"-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m",
		"--cpus", "0.5", "-c", "512", "--cpuset-cpus", "0", "--pids-limit", "20",
	}, stay...)...))
	files := map[int]map[string]string{
		1: {
			"memory.limit_in_bytes":       "67108864",
			"memory.memsw.limit_in_bytes": "100663296",
			"memory.soft_limit_in_bytes":  "33554432",
			"cpu.cfs_quota_us":            "50000",
			"cpu.cfs_period_us":           "100000",
			"cpu.shares":                  "512",
			"cpuset.cpus":                 "0",
			"pids.max":                    "20",
		},
		2: {
			"memory.max":      "67108864",
			"memory.swap.max": "33554432",
			"memory.low":      "33554432",
			"cpu.max":         "50000 100000",
			"cpu.weight":      "59",
			"cpuset.cpus":     "0",
			"pids.max":        "20",
		},
	}
	version, controllers := controllersHere(t)
	for file, want := range files[version] {
		controller, _, _ := strings.Cut(file, ".")
		if got := c.read(controller, file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if version == 1 { // a process can enter only if both are set
		want := readFile(t, filepath.Join(controllers["cpuset"].Mount, "cpuset.mems"))
		if got := c.read("cpuset", "cpuset.mems"); got != want || got == "" {
			t.Errorf("cpuset.mems: %q, want the parent's, %q", got, want)
		}
	}
	c.end()
}

// Everything else keeps the kernel's default.
func TestNoLimits(t *testing.T) {
	kernelTest(t)
	c := begin(t, contained(t, stay...))
	memory, none := "memory.max", "max"
	if version, _ := controllersHere(t); version == 1 {
		memory, none = "memory.limit_in_bytes", "9223372036854771712"
	}
	if got := c.read("memory", memory); got != none {
		t.Errorf("%s: %q", memory, got)
	}
	if got := c.read("pids", "pids.max"); got != "max" {
		t.Errorf("pids.max: %q", got)
	}
	c.end()
}
