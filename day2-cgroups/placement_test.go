package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pathsOf returns the path of each controller's cgroup from the text of a
// /proc/PID/cgroup; that of version 2 is under the empty name.
func pathsOf(text string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, name := range strings.Split(f[1], ",") {
			paths[name] = f[2]
		}
	}
	return paths
}

// A process id written to a version 1 tasks file moves one thread. So check
// every thread, and those forked before the check, too.
func TestEveryThreadIsInside(t *testing.T) {
	kernelTest(t)
	c := begin(t, contained(t, "--cpuset-cpus", "0", testBinary(t), "payload", "threads"))
	version, controllers := controllersHere(t)
	// threads lists a process's threads, and those missing from any of the
	// cgroups.
	threads := func(pid int) (all, outside []string) {
		all, _ = filepath.Glob(fmt.Sprintf("/proc/%d/task/*/cgroup", pid))
		for _, file := range all {
			its := pathsOf(readFile(t, file))
			for name, h := range controllers {
				if _, used := c.Dirs[name]; !used {
					continue
				}
				if version == 2 {
					name = ""
				}
				if its[name] != filepath.Join(h.Root, testParent, "go-docker-"+c.ID) {
					outside = append(outside, file)
					break
				}
			}
		}
		return all, outside
	}
	pids := c.inside()
	if !slices.Equal(pids, children(c.init())) || len(pids) != 2 {
		t.Errorf("in the PID namespace are %d, children of init %d, want the command and an orphan", pids, children(c.init()))
	}
	count := 0
	for _, pid := range pids {
		all, outside := threads(pid)
		if count += len(all); len(outside) > 0 {
			t.Errorf("outside of some cgroup: %q", outside)
		}
	}
	if count < 10 {
		t.Errorf("only %d threads: this proves nothing", count)
	}
	// Init itself stays outside, except in version 1 for the thread that forked
	// the command. Its main thread, which the OOM killer goes by, stays outside
	// there, too.
	all, outside := threads(c.init())
	if len(all)-len(outside) != map[int]int{1: 1, 2: 0}[version] {
		t.Errorf("init: of %d threads, %d are outside", len(all), len(outside))
	}
	if main := fmt.Sprintf("/proc/%d/task/%[1]d/cgroup", c.init()); !slices.Contains(outside, main) {
		t.Errorf("init's main thread is inside, outside are %q", outside)
	}
	c.end()
}

// The command is inside from its first instruction.
func TestCommandSeesItself(t *testing.T) {
	kernelTest(t)
	version, _ := controllersHere(t)
	used := counters[version]
	if version == 2 {
		used = []string{""}
	}
	inside := regexp.MustCompile(`/` + regexp.QuoteMeta(testParent) + `/go-docker-[0-9a-f]{12}$`)
	for _, init := range []string{"--init=true", "--init=false"} {
		got := finish(t, contained(t, init, "--pid", "--mount", "cat", "/proc/self/cgroup"))
		for _, name := range used {
			if path, ok := pathsOf(got.stdout)[name]; ok && !inside.MatchString(path) {
				t.Errorf("%s: %q is in %s: %+v", init, name, path, got)
			}
		}
		// A cgroup namespace hides its position.
		got = finish(t, contained(t, init, "cat", "/proc/self/cgroup"))
		for _, name := range used {
			if path := pathsOf(got.stdout)[name]; path != "/" {
				t.Errorf("%s, with a cgroup namespace: %q is in %q: %+v", init, name, path, got)
			}
		}
	}
}

func TestMemoryIsCharged(t *testing.T) {
	kernelTest(t)
	for _, init := range []string{"--init=true", "--init=false"} {
		c := begin(t, contained(t, init, "sh", "-c", `echo ready; exec "$0" hog --hold 1h 20m`, testBinary(t)))
		file := "memory.current"
		if version, _ := controllersHere(t); version == 1 {
			file = "memory.usage_in_bytes"
		}
		var usage int64
		poll(t, "20 MiB are charged", func() bool {
			fmt.Sscan(c.read("memory", file), &usage)
			return usage >= 20<<20
		})
		if usage > 60<<20 { // the race detector needs some, too
			t.Errorf("%s: %d bytes are charged", init, usage)
		}
		c.end()
	}
}
