package usage

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// cgroupFiles makes a directory with files like a cgroup's.
func cgroupFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadUsageV1(t *testing.T) {
	dir := cgroupFiles(t, map[string]string{
		"memory.usage_in_bytes":     "1001\n",
		"memory.max_usage_in_bytes": "1002\n",
		"memory.limit_in_bytes":     "9223372036854771712\n",
		"memory.failcnt":            "3\n",
		"memory.memsw.failcnt":      "4\n",
		"memory.stat":               "swap 1\ninactive_file 1\ntotal_swap 1005\ntotal_inactive_file 1006\n",
		"memory.oom_control":        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
		"cpuacct.usage":             "5000999\n",
		"pids.current":              "8\n",
	})
	got, err := Read(1, map[string]string{"memory": dir, "cpu": dir, "cpuacct": dir, "pids": dir})
	want := Usage{
		Memory: 1001, Swap: 1005, Cache: 1006, MemoryPeak: 1002, MemoryLimit: math.MaxInt64,
		LimitHits: 7, OOMKills: 2, CPU: 5000, Pids: 8,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestReadUsageV2(t *testing.T) {
	dir := cgroupFiles(t, map[string]string{
		"memory.current":      "1001\n",
		"memory.swap.current": "1005\n",
		"memory.peak":         "1002\n",
		"memory.max":          "max\n",
		"memory.stat":         "anon 1\nfile 2\ninactive_file 1006\n",
		"memory.events":       "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\noom_group_kill 0\n",
		"cpu.stat":            "usage_usec 5000\nuser_usec 1\nnr_periods 1\nnr_throttled 1\nthrottled_usec 7\n",
		"pids.current":        "8\n",
	})
	got, err := Read(2, map[string]string{"memory": dir, "pids": dir})
	want := Usage{
		Memory: 1001, Swap: 1005, Cache: 1006, MemoryPeak: 1002, MemoryLimit: math.MaxInt64,
		LimitHits: 7, OOMKills: 2, CPU: 5000, Pids: 8,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A file that an old kernel lacks counts as 0; one that no longer exists, or
// does not hold a number, is an error.
func TestReadUsageMissing(t *testing.T) {
	for version := 1; version <= 2; version++ {
		got, err := Read(version, map[string]string{"memory": t.TempDir()})
		if err != nil || got != (Usage{}) {
			t.Errorf("version %d, no file: %+v, %v", version, got, err)
		}
		gone := filepath.Join(t.TempDir(), "gone")
		if got, err = Read(version, map[string]string{"memory": gone}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("version %d, no cgroup: %+v, %v", version, got, err)
		}
		bad := cgroupFiles(t, map[string]string{"memory.usage_in_bytes": "x", "memory.current": "x"})
		if got, err = Read(version, map[string]string{"memory": bad}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("version %d, bad number: %+v, %v", version, got, err)
		}
	}
}

func TestParseCounter(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "max": math.MaxInt64,
		"9223372036854767616":  9223372036854767616, // a page less than "no limit"
		"9223372036854771712":  math.MaxInt64,       // no limit in version 1
		"18446744073709551615": math.MaxInt64,
	} {
		if got, err := parseCounter(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "0x10", "1 ", "MAX", "18446744073709551616"} {
		if got, err := parseCounter(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
}

func FuzzCounter(f *testing.F) {
	for _, s := range []string{"0", "max", "-1", "9223372036854771712", "18446744073709551616"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseCounter(s)
		if err != nil {
			return
		}
		if exact, parsed := strconv.ParseUint(s, 10, 64); s != "max" && (parsed != nil || got != math.MaxInt64 && uint64(got) != exact) || got < 0 {
			t.Errorf("%q is %d", s, got)
		}
	})
}

// One file of "key number" lines, whatever is in it.
func FuzzKeyed(f *testing.F) {
	f.Add("oom_kill_disable 0\noom_kill 2\n")
	f.Add("oom_kill\n")
	f.Add("oom_kill -1\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(dir, "memory.oom_control"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		c := &counters{}
		if got := c.keyed(dir, "memory.oom_control", "oom_kill"); got < 0 || c.err != nil && got != 0 {
			t.Errorf("%q: %d, %v", text, got, c.err)
		}
	})
}
