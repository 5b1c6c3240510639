package limits

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day3-images/cgroup"
)

// limitsOf parses flags as run does.
func limitsOf(args ...string) (l cgroup.Limits, err error) {
	app := &urfave.App{Commands: []*urfave.Command{{
		Name:  "run",
		Flags: Flags(),
		Action: func(ctx *urfave.Context) error {
			config, err := FromFlags(ctx)
			l = config.Limits
			return err
		},
	}}}
	if errRun := app.Run(append([]string{"program", "run"}, args...)); errRun != nil {
		err = errRun
	}
	return l, err
}

func TestLimits(t *testing.T) {
	const m = 1 << 20
	tests := []struct {
		args string
		want cgroup.Limits
	}{
		{"", cgroup.Limits{}},
		{"-m 100m", cgroup.Limits{Memory: 100 * m}},
		{"-m 100M", cgroup.Limits{Memory: 100 * m}},
		{"-m 100mb", cgroup.Limits{Memory: 100 * m}},
		{"-m 100MiB", cgroup.Limits{Memory: 100 * m}},
		{"-m 104857600", cgroup.Limits{Memory: 100 * m}},
		{"-m 104857600b", cgroup.Limits{Memory: 100 * m}},
		{"--memory=0.5g", cgroup.Limits{Memory: 512 * m}},
		{"-m 6m", cgroup.Limits{Memory: 6 * m}},
		{"-m 4p", cgroup.Limits{Memory: 4 << 50}},
		{"-m 9223372036854770000", cgroup.Limits{Memory: 9223372036854769664}}, // a float64 has 53 bits
		{"-m 100m --memory-swap 150m", cgroup.Limits{Memory: 100 * m, Swap: 50 * m}},
		{"-m 100m --memory-swap 100m", cgroup.Limits{Memory: 100 * m}},
		{"-m 100m --memory-swap 0", cgroup.Limits{Memory: 100 * m}},
		{"-m 100m --memory-swap -1", cgroup.Limits{Memory: 100 * m, Swap: cgroup.Unlimited}},
		{"--memory-reservation 50m", cgroup.Limits{Reservation: 50 * m}},
		{"-m 50m --memory-reservation 50m", cgroup.Limits{Memory: 50 * m, Reservation: 50 * m}},
		{"--cpus 0.01", cgroup.Limits{CPUQuota: 1000}},
		{"--cpus .5", cgroup.Limits{CPUQuota: 50_000}},
		{"--cpus 1", cgroup.Limits{CPUQuota: 100_000}},
		{"-c 2", cgroup.Limits{CPUShares: 2}},
		{"-c 0", cgroup.Limits{}},
		{"-c 512", cgroup.Limits{CPUShares: 512}},
		{"-cpushare 512", cgroup.Limits{CPUShares: 512}}, // spelling of the original articles
		{"--cpu-shares 262144", cgroup.Limits{CPUShares: 262144}},
		{"--cpuset-cpus 0", cgroup.Limits{CPUs: "0"}},
		{"-cpuset 0", cgroup.Limits{CPUs: "0"}},
		{"--cpuset-cpus 0-0,0", cgroup.Limits{CPUs: "0-0,0"}},
		{"--pids-limit 1", cgroup.Limits{Pids: 1}},
		{"--pids-limit 4194304", cgroup.Limits{Pids: 4194304}},
		{"--pids-limit 0", cgroup.Limits{}}, // unlimited in Docker; to the kernel, no process at all
		{"--pids-limit -1", cgroup.Limits{}},
	}
	for _, test := range tests {
		got, err := limitsOf(strings.Fields(test.args)...)
		if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v, want %+v", test.args, got, err, test.want)
		}
	}
}

// refusedLimits are flags and values that must be refused before anything is
// made. The kernel would take 2^64 as 0, 23 nines as 200 PB and an empty value
// as 0, or allow no process at all.
var refusedLimits = map[string][]string{
	"--memory": {
		"", " ", "0", "1", "5m", "6291455", "-1", "-100m", "m", "1e", "1x", "100mm", "100mbb", "10 0m", "0x",
		"18446744073709551616", "99999999999999999999999", "9223372036854775807", "9223372036854775808",
		"8192p", "9999999p", "1e300", "1e9", "1e9g", "0x1p30", "inf", "nan", "nan ", "inf ", "inf k", "100m\n100m",
	},
	"--memory-reservation": {"", "0", "5m", "-1", "18446744073709551616"},
	"--cpus":               {"", "0", "0.009", "-1", "nan", "inf", "1e9", "x", "1,5", "0.5 "},
	"--cpu-shares":         {"", "1", "-1", "262145", "1.5", "18446744073709551618", "x"},
	"--cpuset-cpus":        {"", ",", "0,", "-", "0-", "-0", "1-0", "0 ", "+0", "x", "8192", "0-4294967295", "18446744073709551616"},
	"--pids-limit":         {"", "-2", "4194305", "1.5", "x", "max", "18446744073709551617"},
}

// forEachRefused calls f with each refused combination of flags and the name of
// the flag to blame.
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
