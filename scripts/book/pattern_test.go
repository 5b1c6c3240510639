package main

import (
	"os"
	"strings"
	"testing"
)

func TestSameLine(t *testing.T) {
	for _, c := range []struct {
		name, command, page, run string
		want                     bool
	}{
		{"equal", "", "container", "container", true},
		{"a word", "", "container", "vm", false},
		{"an inode", "", "uts:[4026532301]", "uts:[4026531838]", true},
		{"inodes of two kinds", "", "uts:[4026532301]", "ipc:[4026532301]", false},
		{"an inode in a table", "lsns", "4026532301 uts  2", "4026531838 uts 2", true},
		{"a small number", "cat pids.max", "20", "21", false},
		{"a limit of processes is no PID", "cat pids.max", "20", "20", true},
		{"a limit in bytes", "cat memory.max", "104857600", "209715200", false},
		{"a peak one page above", "cat memory.peak", "104857600", "104861696", true},
		{"a peak two pages above", "cat memory.peak", "104857600", "104865792", false},
		{"a PID", "cat cgroup.procs", "4711", "815", true},
		{"PID 1", "echo $$", "1", "8", false},
		{"PID 1 and another", "echo $$", "1", "4711", false},
		{"a job", "sleep 5 &", "[1] 4711", "[1] 16", true},
		{"another job", "sleep 5 &", "[1] 4711", "[2] 4711", false},
		{"ps", "ps -o pid,comm", "   4711 sh", "12 sh", true},
		{"a process that is another", "ps -o pid,comm", "4711 sh", "4711 bash", false},
		{"a container", "", "go-docker-9be2a525648d", "go-docker-000000000001", true},
		{"not a container", "", "go-docker-9be2a525648d", "go-docker-9be2a525648", false},
		{"a digest", "", "sha256:" + strings.Repeat("a", 64), "sha256:" + strings.Repeat("b", 64), true},
		{"an exit status", "", "exit status 137", "exit status 143", false},
		{"an exit status in a line about a PID", "", "process 4711: exit status 137", "process 12: exit status 143", false},
		{"an age", "", "Exited (0) Less than a second ago", "Exited (0) 3 seconds ago", true},
		{"another status of that age", "", "Exited (0) 1 second ago", "Exited (1) 1 second ago", false},
		{"a duration", "", "real\t0m0.837s", "real\t1m10.1s", true},
		{"milliseconds", "", "took 12ms", "took 1 ms", true},
		{"a date", "", "2025-01-31T12:30:00Z done", "2026-12-01T00:00:00Z done", true},
		{"hits", "", "max 19", "max 3", true},
		{"kills", "", "oom_kill 1", "oom_kill 2", false},
		{"kills in numbers that look like PIDs", "", "oom_kill 10", "oom_kill 20", false},
		{"columns", "", "  limit   100MiB  memory.max", "  limit  100MiB       memory.max", true},
		{"a size", "", "peak 100MiB", "peak 101MiB", false},
		{"cpu.stat", "cat cpu.stat", "nr_throttled 9", "nr_throttled 12", true},
		{"usage", "cat memory.current", "1048576", "2097152", true},
		{"a mount", "cat /proc/self/mountinfo", "536 535 0:52 / /proc rw shared:12 - proc proc rw", "36 35 0:22 / /proc rw shared:3 - proc proc rw", true},
		{"an address", "", "hello, 10.0.0.1", "hello, 192.0.2.1", false},
		{"an address and a port", "", "10.0.0.1:8080", "10.0.0.1:8081", false},
		{"a kernel", "uname -r", "6.1.0-32-amd64", "6.18.5", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := newPairing().sameLine(c.page, c.run, c.command); got != c.want {
				t.Errorf("page %q, run %q: %v, want %v", c.page, c.run, got, c.want)
			}
		})
	}
}

func TestPairing(t *testing.T) {
	lines := func(s string) (lines []outputLine) {
		for i, l := range strings.Fields(s) {
			lines = append(lines, outputLine{i + 1, l})
		}
		return lines
	}
	for _, c := range []struct {
		name, page, run string
		line            int // of the difference; 0: none
	}{
		{"equal stays equal", "uts:[100] uts:[100]", "uts:[7] uts:[7]", 0},
		{"different stays different", "uts:[100] uts:[101]", "uts:[7] uts:[8]", 0},
		{"equal on the page, not in the run", "uts:[100] uts:[100]", "uts:[7] uts:[8]", 2},
		{"equal in the run, not on the page", "uts:[100] uts:[101]", "uts:[7] uts:[7]", 2},
		{"swapped", "uts:[100] uts:[101] uts:[100]", "uts:[7] uts:[8] uts:[8]", 3},
		{"a wrong try of the dots is forgotten", "... uts:[100] end uts:[101]", "uts:[7] x uts:[8] end uts:[7]", 0},
		{"dots for nothing", "a ... b", "a b", 0},
		{"dots for all", "...", "a b c", 0},
		{"dots do not cover what follows", "... b", "a c", 2},
		{"a line too few", "a b", "a", 2},
		{"a line too many", "a", "a b", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, d := newPairing().match(lines(c.page), strings.Fields(c.run), "", 1)
			got := 0
			if d != nil {
				got = d.line
			}
			if got != c.line {
				t.Errorf("difference at %d, want %d: %v", got, c.line, d)
			}
		})
	}
}

// A page does not differ from itself, whatever it shows, nor a rewritten line
// from what it was rewritten from.
func FuzzSameLine(f *testing.F) {
	f.Add("uts:[4026532301] 12345", "ps")
	f.Add("go-docker-9be2a525648d 0.83 s 104857600", "cat memory.peak")
	f.Add("536 535 0:52 / /proc rw shared:12 master:3", "cat /proc/self/mountinfo")
	f.Fuzz(func(t *testing.T, line, command string) {
		if !newPairing().sameLine(line, line, command) {
			t.Errorf("%q differs from itself", line)
		}
		p := newPairing()
		if rewritten := p.onPage(line, command); !p.sameLine(rewritten, line, command) {
			t.Errorf("%q, rewritten as %q, differs", line, rewritten)
		}
		end := 0
		for _, found := range tokens(line, command) {
			if found.start < end || found.end > len(line) || line[found.start:found.end] != found.value {
				t.Errorf("%q: %+v is not in order", line, found)
			}
			end = found.end
		}
	})
}

// The rules are for writers, so each one is written down.
func TestStyleNamesThePatterns(t *testing.T) {
	style, err := os.ReadFile("../../docs/STYLE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range patterns {
		if !strings.Contains(string(style), p.name) {
			t.Errorf("docs/STYLE.md does not explain the pattern %q", p.name)
		}
	}
}
