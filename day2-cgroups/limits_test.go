package main

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// limitsOf parses flags as run does.
func limitsOf(args ...string) (l Limits, err error) {
	app := dockerLike(&cli.App{Commands: []*cli.Command{{
		Name:  "run",
		Flags: runFlags(),
		Action: func(ctx *cli.Context) error {
			l, err = limitsFromFlags(ctx)
			return err
		},
	}}})
	return l, app.Run(append([]string{"program", "run"}, args...))
}

func TestLimits(t *testing.T) {
	const m = 1 << 20
	tests := []struct {
		args string
		want Limits
	}{
		{"", Limits{}},
		{"-m 100m", Limits{Memory: 100 * m}},
		{"-m 100M", Limits{Memory: 100 * m}},
		{"-m 100mb", Limits{Memory: 100 * m}},
		{"-m 100MiB", Limits{Memory: 100 * m}},
		{"-m 104857600", Limits{Memory: 100 * m}},
		{"-m 104857600b", Limits{Memory: 100 * m}},
		{"--memory=0.5g", Limits{Memory: 512 * m}},
		{"-m 6m", Limits{Memory: 6 * m}},
		{"-m 4p", Limits{Memory: 4 << 50}},
		{"-m 9223372036854770000", Limits{Memory: 9223372036854769664}}, // a float64 has 53 bits
		{"-m 100m --memory-swap 150m", Limits{Memory: 100 * m, Swap: 50 * m}},
		{"-m 100m --memory-swap 100m", Limits{Memory: 100 * m}},
		{"-m 100m --memory-swap 0", Limits{Memory: 100 * m}},
		{"-m 100m --memory-swap -1", Limits{Memory: 100 * m, Swap: unlimited}},
		{"--memory-reservation 50m", Limits{Reservation: 50 * m}},
		{"-m 50m --memory-reservation 50m", Limits{Memory: 50 * m, Reservation: 50 * m}},
		{"--cpus 0.01", Limits{CPUQuota: 1000}},
		{"--cpus .5", Limits{CPUQuota: 50_000}},
		{"--cpus 1", Limits{CPUQuota: 100_000}},
		{"-c 2", Limits{CPUShares: 2}},
		{"-c 0", Limits{}},
		{"-c 512", Limits{CPUShares: 512}},
		{"-cpushare 512", Limits{CPUShares: 512}}, // the series' spelling
		{"--cpu-shares 262144", Limits{CPUShares: 262144}},
		{"--cpuset-cpus 0", Limits{CPUs: "0"}},
		{"-cpuset 0", Limits{CPUs: "0"}},
		{"--cpuset-cpus 0-0,0", Limits{CPUs: "0-0,0"}},
		{"--pids-limit 1", Limits{Pids: 1}},
		{"--pids-limit 4194304", Limits{Pids: 4194304}},
		{"--pids-limit 0", Limits{}}, // Docker's unlimited; the kernel would allow no process
		{"--pids-limit -1", Limits{}},
	}
	for _, test := range tests {
		got, err := limitsOf(strings.Fields(test.args)...)
		if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v, want %+v", test.args, got, err, test.want)
		}
	}
}

// refusedLimits are flags and values that nothing may be made of. What the
// kernel would do with them: take 2^64 as 0 and 23 nines as 200 PB, take
// nothing as 0, allow no process at all.
var refusedLimits = map[string][]string{
	"--memory": {
		"", " ", "0", "1", "5m", "6291455", "-1", "-100m", "m", "1e", "1x", "100mm", "100mbb", "10 0m", "0x",
		"18446744073709551616", "99999999999999999999999", "9223372036854775807", "9223372036854775808",
		"8192p", "9999999p", "1e300", "inf", "nan", "nan ", "inf ", "inf k", "100m\n100m",
	},
	"--memory-reservation": {"", "0", "5m", "-1", "18446744073709551616"},
	"--cpus":               {"", "0", "0.009", "-1", "nan", "inf", "1e9", "x", "1,5", "0.5 "},
	"--cpu-shares":         {"", "1", "-1", "262145", "1.5", "18446744073709551618", "x"},
	"--cpuset-cpus":        {"", ",", "0,", "-", "0-", "-0", "1-0", "0 ", "+0", "x", "8192", "0-4294967295", "18446744073709551616", "8191"},
	"--pids-limit":         {"", "-2", "4194305", "1.5", "x", "max", "18446744073709551617"},
}

// forEachRefused calls f with the flags of each refused combination and the
// name of the flag to be blamed.
func forEachRefused(f func(flag string, args ...string)) {
	for flag, values := range refusedLimits {
		for _, value := range values {
			f(flag, flag+"="+value)
		}
	}
	for _, swap := range []string{"", "-2", "99m", "1", "x", "nan ", "18446744073709551616"} {
		f("--memory-swap", "--memory", "100m", "--memory-swap="+swap)
	}
	f("--memory-swap", "--memory-swap", "200m") // of which memory?
	f("--memory-swap", "--memory-swap", "-1")
	f("--memory-reservation", "--memory", "50m", "--memory-reservation", "51m")
	f("--cpus", "--cpus", fmt.Sprint(runtime.NumCPU()+1))
}

func TestLimitsRefused(t *testing.T) {
	forEachRefused(func(flag string, args ...string) {
		if got, err := limitsOf(args...); err == nil {
			t.Errorf("%q: got %+v", args, got)
		} else if !strings.Contains(err.Error(), flag) {
			t.Errorf("%q: %q does not name %s", args, err, flag)
		}
	})
}

func TestParseCPUList(t *testing.T) {
	got, err := parseCPUList("0-2,4,8191")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(map[int]bool{0: true, 1: true, 2: true, 4: true, 8191: true}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// A setting's file and value; the controller is the file's first word.
func pairs(settings []setting) string {
	var s []string
	for _, x := range settings {
		if !strings.HasPrefix(x.file, x.controller+".") {
			s = append(s, x.controller)
		}
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
			Limits{Memory: 1000}, // swap closed, and memsw after the limit it may not be below
			"memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=1000",
			"memory.max=1000 memory.swap.max=0",
		}, {
			Limits{Memory: 1000, Swap: 500},
			"memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=1500",
			"memory.max=1000 memory.swap.max=500",
		}, {
			Limits{Memory: 1000, Swap: unlimited},
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

// Only the swap files may be missing: a kernel can be booted without them.
func TestOptionalSettings(t *testing.T) {
	all := Limits{Memory: 1, Reservation: 1, CPUQuota: 1, CPUShares: 2, CPUs: "0", Pids: 1}
	for version := 1; version <= 2; version++ {
		for _, s := range all.settings(version) {
			swap := strings.Contains(s.file, "sw")
			if s.optional != swap {
				t.Errorf("%s: optional is %v", s.file, s.optional)
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
	for shares, last := int64(minShares), int64(0); shares <= maxShares; shares++ {
		got := weight(shares)
		if got < last || got < 1 || got > 10000 {
			t.Fatalf("%d shares: weight %d, after %d", shares, got, last)
		}
		last = got
	}
}
