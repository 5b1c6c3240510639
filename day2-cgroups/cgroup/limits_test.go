package cgroup

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParseCPUs(t *testing.T) {
	got, err := ParseCPUs("0-2,4,8191")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(map[int]bool{0: true, 1: true, 2: true, 4: true, 8191: true}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func pairs(settings settings) string {
	var s []string
	for _, x := range settings {
		s = append(s, x.file+"="+x.value)
	}
	return strings.Join(s, " ")
}

func TestSettings(t *testing.T) {
	tests := []struct {
		limits Limits
		v1, v2 string
	}{
		{Limits{}, "", ""},
		{
			Limits{Memory: 1000}, // no swap, and memsw after the limit that it may not be below
			"memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=1000",
			"memory.max=1000 memory.swap.max=0",
		}, {
			Limits{Memory: 1000, Swap: 500},
			"memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=1500",
			"memory.max=1000 memory.swap.max=500",
		}, {
			Limits{Memory: 1000, Swap: Unlimited},
			"memory.limit_in_bytes=1000",
			"memory.max=1000",
		}, {
			Limits{Reservation: 1000},
			"memory.soft_limit_in_bytes=1000",
			"memory.low=1000",
		}, {
			Limits{CPUQuota: 50_000},
			"cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000",
			"cpu.max=50000 100000",
		}, {
			Limits{CPUShares: 1024},
			"cpu.shares=1024",
			"cpu.weight=100",
		}, {
			Limits{CPUs: "0-1", Pids: 20},
			"cpuset.cpus=0-1 pids.max=20",
			"cpuset.cpus=0-1 pids.max=20",
		}, {
			Limits{Memory: math.MaxInt64 &^ 4095},
			"memory.limit_in_bytes=9223372036854771712 memory.memsw.limit_in_bytes=9223372036854771712",
			"memory.max=9223372036854771712 memory.swap.max=0",
		},
	}
	for _, test := range tests {
		if got := pairs(test.limits.settings(1)); got != test.v1 {
			t.Errorf("%+v in version 1: %s, want %s", test.limits, got, test.v1)
		}
		if got := pairs(test.limits.settings(2)); got != test.v2 {
			t.Errorf("%+v in version 2: %s, want %s", test.limits, got, test.v2)
		}
	}
}

// Only the swap files may be missing, because a kernel can be booted without
// them.
func TestOptionalSettings(t *testing.T) {
	all := Limits{Memory: 1, Reservation: 1, CPUQuota: 1, CPUShares: 2, CPUs: "0", Pids: 1}
	for version := 1; version <= 2; version++ {
		for _, s := range all.settings(version) {
			swap := strings.Contains(s.file, "sw")
			if s.optional() != swap {
				t.Errorf("%s: optional is %v", s.file, s.optional())
			}
		}
	}
}

func TestWeight(t *testing.T) {
	for shares, want := range map[int64]int64{2: 1, 1024: 100, 262144: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("%d shares: weight %d, want %d", shares, got, want)
		}
	}
	for shares, last := int64(2), int64(0); shares <= 262144; shares++ {
		got := weight(shares)
		if got < last || got < 1 || got > 10000 {
			t.Fatalf("%d shares: weight %d, after %d", shares, got, last)
		}
		last = got
	}
}

// A list that is accepted means the same when written out CPU by CPU.
func FuzzCPUList(f *testing.F) {
	for _, s := range []string{"", "-", "0-", "2-1", "0,,1", "x", "8192", "0", "0-2,4", "3,1", "00-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cpus, err := ParseCPUs(s)
		if err != nil {
			return
		}
		if strings.Trim(s, "0123456789,-") != "" {
			t.Fatalf("%q was taken", s)
		}
		var list []string
		for cpu := range cpus {
			if cpu < 0 || cpu >= 8192 {
				t.Fatalf("%q has CPU %d", s, cpu)
			}
			list = append(list, strconv.Itoa(cpu))
		}
		slices.Sort(list)
		again, err := ParseCPUs(strings.Join(list, ","))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(cpus) {
			t.Errorf("%q: %v, then %v, %v", s, cpus, again, err)
		}
	})
}
