package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func hasSwap(t testing.TB) bool { return sysinfo(t).Totalswap > 0 }

func sysinfo(t testing.TB) (info unix.Sysinfo_t) {
	t.Helper()
	if err := unix.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	return info
}

// A hog either gets its 64 MiB or is killed.
func TestMemoryLimit(t *testing.T) {
	kernelTest(t)
	for _, test := range []struct {
		flags string
		lives bool
	}{
		{"", true},
		{"-m 120m", true},
		{"-m 40m", false},
		{"-m 40m --memory-swap 40m", false},
		{"-m 40m --memory-swap 60m", false}, // even with swap, 4 MiB are missing
		{"-m 40m --memory-swap 120m", hasSwap(t)},
		{"-m 40m --memory-swap -1", hasSwap(t)},
	} {
		want := 137
		if test.lives {
			want = 0
		}
		for _, init := range []string{"--init=true", "--init=false"} {
			args := append(strings.Fields(test.flags), init, testBinary(t), "hog", "64m")
			if got := finish(t, contained(t, args...)); got != (outcome{status: want}) {
				t.Errorf("%q %s: %+v, want status %d", test.flags, init, got, want)
			}
		}
	}
}

// The OOM killer kills the process that is too big and not init, so the rest
// goes on.
func TestOOMKillSparesTheOthers(t *testing.T) {
	kernelTest(t)
	got := finish(t, contained(t, "-m", "16m", "sh", "-c", `"$0" hog 64m; echo "status $?"`, testBinary(t)))
	if got.status != 0 || got.stdout != "status 137\n" {
		t.Errorf("%+v", got)
	}
}

func TestCPUQuota(t *testing.T) {
	kernelTest(t)
	for try := 1; ; try++ {
		used, wall, throttled := spins(t, "--cpus", "0.1")
		// A period may start before and another end after the measurement, and
		// each CPU used may have part of a 5 ms slice left.
		most := (wall+100_000)/10 + int64(runtime.NumCPU()*5000)
		if used <= most && throttled > 0 {
			break
		}
		// In a virtual machine, the time for which the host holds it up may
		// count as used, and the kernel takes that back only later.
		if try == 5 {
			t.Errorf("used %d of %d µs, at most %d wanted; throttled %d times", used, wall, most, throttled)
			break
		}
	}
	if _, _, throttled := spins(t, "-c", "1024"); throttled > 0 { // a share is not a quota
		t.Errorf("with a share: throttled %d times", throttled)
	}
}

// spins returns how many microseconds of CPU time a busy container with these
// flags gets in how many, and how often it is throttled.
func spins(t *testing.T, flags ...string) (used, wall int64, throttled int) {
	t.Helper()
	c := begin(t, contained(t, append(flags, "sh", "-c", `echo ready; exec "$0" payload spin 1s`, testBinary(t))...))
	c.preferred()
	c.says(" µs\n")
	if _, err := fmt.Sscanf(c.stdout.String(), "ready\n%d µs in %d", &used, &wall); err != nil {
		t.Fatal(err)
	}
	throttled = c.number("cpu", "cpu.stat", "nr_throttled")
	t.Logf("%q: %d of %d µs, throttled %d times", flags, used, wall, throttled)
	c.end()
	return used, wall, throttled
}

// preferred sees to it that a busy machine does not give the container less
// than its quota: the cgroup above, which competes with everybody else, gets
// the largest share there is.
func (l *live) preferred() {
	l.t.Helper()
	share, largest := "cpu.weight", "10000"
	if l.Version == 1 {
		share, largest = "cpu.shares", "262144"
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(l.Dirs["cpu"]), share), []byte(largest), 0); err != nil {
		l.t.Fatal(err)
	}
}

// The shell forks until the kernel returns EAGAIN, in a subshell, because the
// error ends it.
func TestPidsLimit(t *testing.T) {
	kernelTest(t)
	const limit = 12
	c := begin(t, contained(t, "--pids-limit", strconv.Itoa(limit), "sh", "-c", `(while sleep 1000 & do :; done); echo ready; exec sleep 1000`))
	version, _ := controllersHere(t)
	// There were sh, the subshell and, in version 1, a thread of init; the rest
	// are sleeps. The subshell has ended.
	sleeping := limit - 2
	if version == 1 {
		sleeping--
	}
	if got := len(children(c.init())) - 1; got != sleeping {
		t.Errorf("%d processes sleep, want %d; %s", got, sleeping, c.stderr.String())
	}
	if got := c.read("pids", "pids.current"); got != strconv.Itoa(limit-1) {
		t.Errorf("pids.current is %s, want %d", got, limit-1)
	}
	if got := c.number("pids", "pids.events", "max"); got < 1 {
		t.Errorf("pids.events: max %d", got)
	}
	c.end()
}

func TestCPUSet(t *testing.T) {
	kernelTest(t)
	all := strings.Fields(finish(t, contained(t, testBinary(t), "payload", "affinity")).stdout)
	if len(all) != runtime.NumCPU() {
		t.Errorf("without --cpuset-cpus: CPUs %q, want %d", all, runtime.NumCPU())
	}
	for _, cpu := range all {
		for _, init := range []string{"--init=true", "--init=false"} {
			finish(t, contained(t, init, "--cpuset-cpus", cpu, testBinary(t), "payload", "affinity")).want(t, cpu+"\n")
		}
	}
}
