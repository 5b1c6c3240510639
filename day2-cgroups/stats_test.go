package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/go-docker/day2-cgroups/container"
	"example.com/go-docker/day2-cgroups/usage"
)

// statsOf runs stats --format json and returns the figures by id.
func statsOf(t *testing.T, args ...string) map[string]stat {
	t.Helper()
	got := finish(t, program(t, append([]string{"stats", "--format", "json"}, args...)...))
	if got.status != 0 || got.stderr != "" {
		t.Fatalf("%q: %+v", args, got)
	}
	all := map[string]stat{}
	for line := range strings.Lines(got.stdout) {
		var s stat
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all[s.ID] = s
	}
	return all
}

func TestStats(t *testing.T) {
	kernelTest(t)
	hog := begin(t, contained(t, "-m", "64m", "sh", "-c", `echo ready; exec "$0" hog --hold 1h 20m`, testBinary(t)))
	busy := begin(t, contained(t, "--cpus", "0.5", "sh", "-c", `sleep 1000 & sleep 1000 & echo ready; while :; do :; done`))
	busy.preferred()
	poll(t, "the hog has its memory", func() bool {
		used, err := usage.Read(hogVersion(t), hog.Dirs)
		return err == nil && used.Memory-used.Cache >= 20<<20
	})

	all := statsOf(t)
	if len(all) != 2 {
		t.Errorf("%d containers, want 2: %+v", len(all), all)
	}
	s := all[hog.ID]
	if s.LimitBytes != 64<<20 || s.MemoryBytes < 20<<20 || s.MemoryBytes > 60<<20 || s.CPU > 50 || s.Pids < 1 {
		t.Errorf("the hog: %+v", s)
	}
	s = all[busy.ID]
	pids := int64(3) // sh and its two children
	if hogVersion(t) == 1 {
		pids++ // and a thread of init
	}
	if s.LimitBytes != 0 || s.MemoryBytes <= 0 || s.MemoryBytes > 20<<20 || s.Pids != pids {
		t.Errorf("the busy one: %+v, want %d pids and no limit", s, pids)
	}
	// A host that holds up this virtual machine may spoil one measurement.
	for try := 1; s.CPU < 5 || s.CPU > 75; try++ {
		if try == 10 {
			t.Errorf("the busy one may have half a CPU and has %.1f %%", s.CPU)
			break
		}
		s = statsOf(t)[busy.ID]
	}

	if one := statsOf(t, hog.ID[:7]); len(one) != 1 || one[hog.ID].ID == "" {
		t.Errorf("of %s: %+v", hog.ID[:7], one)
	}
	table := finish(t, program(t, "stats", busy.ID, hog.ID))
	want := `^CONTAINER ID +CPU % +MEM USAGE / LIMIT +MEM % +PIDS\n` +
		busy.ID + ` +[0-9.]+% +[0-9.]+[KM]iB / none +- +\d+\n` +
		hog.ID + ` +[0-9.]+% +[0-9.]+MiB / 64MiB +[3-9]\d\.\d\d% +\d+\n$`
	if !regexp.MustCompile(want).MatchString(table.stdout) || table.status != 0 || table.stderr != "" {
		t.Errorf("%+v", table)
	}

	refuses(t, program(t, "stats", "no-such"), container.RuntimeError, `no such container: "no-such"`)
	refuses(t, program(t, "stats", hog.ID, "no-such"), container.RuntimeError, `no such container: "no-such"`)
	refuses(t, program(t, "stats", ""), container.RuntimeError, `no such container: ""`)
	hog.end()
	refuses(t, program(t, "stats", hog.ID), container.RuntimeError, "no such container")
	busy.murder() // and the container with it
	if all := statsOf(t); len(all) != 0 {
		t.Errorf("of the dead: %+v", all)
	}
	finish(t, contained(t, "true"))
}

func hogVersion(t *testing.T) int {
	version, _ := controllersHere(t)
	return version
}

func TestStatsOfNone(t *testing.T) {
	kernelTest(t)
	if got := finish(t, program(t, "stats")); got.status != 0 || strings.Count(got.stdout, "\n") != 1 || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	refuses(t, program(t, "stats", "--format", "xml"), container.RuntimeError, "--format", "xml")
}

// On a terminal the table is redrawn until ^C.
func TestStatsStream(t *testing.T) {
	kernelTest(t)
	c := begin(t, contained(t, stay...))
	screen := onTerminal(t, program(t, "stats"), 80, c.ID, true)
	if !strings.HasPrefix(screen, "\x1b[H\x1b[JCONTAINER ID") {
		t.Errorf("%q", screen)
	}
	screen = onTerminal(t, program(t, "stats", "--no-stream"), 80, c.ID, false)
	if strings.Contains(screen, "\x1b") {
		t.Errorf("--no-stream: %q", screen)
	}
	c.end()
}

func TestCompare(t *testing.T) {
	then := time.Now()
	before := []reading{{"old", then, usage.Usage{CPU: 1_000_000}}, {"gone", then, usage.Usage{}}}
	after := []reading{
		{"old", then.Add(2 * time.Second), usage.Usage{CPU: 2_500_000, Memory: 100, Cache: 30, MemoryLimit: 200, Pids: 3}},
		// The two are not read at the same moment, and one has no limit.
		{"new", then.Add(2 * time.Second), usage.Usage{CPU: 5, Memory: 100, Cache: 130, MemoryLimit: math.MaxInt64}},
	}
	got := compare(before, after)
	want := []stat{{ID: "old", CPU: 75, MemoryBytes: 70, LimitBytes: 200, Pids: 3}, {ID: "new"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var out bytes.Buffer
	if err := printStatsJSON(&out, got[:1]); err != nil || out.String() != `{"id":"old","cpu_percent":75,"memory_bytes":70,"memory_limit_bytes":200,"pids":3}`+"\n" {
		t.Errorf("%v: %s", err, &out)
	}
}

// A cgroup may go away between open and read, which then fails with ENODEV. To
// a reader that is the same as if it had gone before.
func TestUsageWhileRemoved(t *testing.T) {
	kernelTest(t)
	version, controllers := controllersHere(t)
	dir := filepath.Join(controllers["memory"].Mount, testParent)
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.Mkdir(dir, 0o755)
				_ = os.Remove(dir)
			}
		}
	}()
	gone := 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		_, err := usage.Read(version, map[string]string{"memory": dir})
		if errors.Is(err, fs.ErrNotExist) {
			gone++
		} else if err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	<-stopped
	if gone == 0 {
		t.Error("it was never gone: this proves nothing")
	}
}
