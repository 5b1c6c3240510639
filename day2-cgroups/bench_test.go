package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/day2-cgroups/cgroup"
	"example.com/go-docker/day2-cgroups/hierarchy"
)

const (
	benchRounds = 30 // by default; more with -benchtime 100x, fewer with -short
	// A write to cgroup.procs within some 20 ms of another one need not wait
	// for a grace period (see openTasks), so tools run back to back would look
	// faster than they are.
	benchGap      = 40 * time.Millisecond
	benchPatience = time.Minute // for one run: nothing here may hang
	benchBytes    = 64 << 20
	benchPids     = 64
)

// BenchmarkStart runs /bin/true in new namespaces, with a limit on memory and
// on processes, and waits until everything is removed again. That is how long a
// user waits for a container, not counting what runs in it. runc and crun do
// the same work if they are installed.
//
// Each round runs every program once, in random order, so that other load on
// the machine hits all of them alike. Neither runc nor crun keeps an init or
// makes a user namespace here. The row with --init=false and their namespaces
// is the comparable one, and x-runc and x-crun are its ratios. They still do
// more: a pivot_root(2), a /dev, and runc makes a cgroup in every hierarchy.
func BenchmarkStart(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("runc, crun and cgroups at the top of a hierarchy need root")
	}
	interrupted, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	b.Cleanup(stop)
	starters := []*starter{
		{name: "/bin/true alone", args: []string{"/bin/true"}},
		ociStarter(b, "runc"),
		ociStarter(b, "crun"),
	}
	starters = append(starters, ownStarters(b)...)
	b.Cleanup(func() { // removes what is left of a run of ours that had to be killed
		if err := starters[len(starters)-1].run(); err != nil {
			b.Error(err)
		}
	})
	round := func() {
		for _, i := range rand.Perm(len(starters)) {
			time.Sleep(benchGap)
			if interrupted.Err() != nil {
				b.Fatal("interrupted")
			}
			if err := starters[i].run(); err != nil {
				b.Fatalf("%s: %v", starters[i].name, err)
			}
		}
	}
	for b.Loop() {
		round()
	}
	for !testing.Short() && len(starters[0].took) < benchRounds {
		round()
	}
	printTable(b, starters)
	recordBench(b, measurements(starters))
}

// A starter is one row of the table: a command and how long its runs took.
type starter struct {
	name    string
	unit    string // for its metric
	args    []string
	took    []time.Duration
	refused error // why the tool cannot run on this machine
}

// run runs the command once and measures the time.
func (s *starter) run() error {
	if s.refused != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), benchPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // leaves it time to clean up
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for us: a run that has started ends by itself
	var output bytes.Buffer
	cmd.Stderr = &output
	started := time.Now()
	err := cmd.Run()
	s.took = append(s.took, time.Since(started))
	if said := strings.Fields(output.String()); err != nil && len(said) > 0 {
		return errors.New(strings.Join(said, " "))
	}
	return err
}

// ownStarters builds our program, unless that is done, and returns the ways to
// run it.
func ownStarters(b *testing.B) []*starter {
	dir := os.Getenv("STEPS_BIN") // in a virtual machine without Go
	if dir == "" {
		dir = b.TempDir()
		if output, err := exec.Command("go", "build", "-o", dir, ".").CombinedOutput(); err != nil {
			b.Fatalf("go build: %v: %s", err, output)
		}
	}
	binary := filepath.Join(dir, "day2-cgroups")
	own := func(name, unit string, flags ...string) *starter {
		args := slices.Concat([]string{binary, "run", "-m", fmt.Sprint(benchBytes), "--pids-limit", fmt.Sprint(benchPids)}, flags, []string{"/bin/true"})
		return &starter{name: name, unit: unit, args: args}
	}
	theirs := []string{"--pid", "--uts", "--ipc", "--mount", "--net", "--cgroup"} // all but --user
	starters := []*starter{
		own("run", "ms-run"),
		own("run --init=false", "ms-init=false", "--init=false"),
		own("run, no user namespace", "ms-no-user", theirs...),
		own("run --init=false, no user namespace", "ms-as-runc", append(theirs, "--init=false")...),
	}
	for _, s := range starters { // one run that does not count, to fill the caches
		if err := s.run(); err != nil {
			b.Fatalf("%s: %v", s.name, err)
		}
		s.took = nil
	}
	return starters
}

// ociStarter makes a bundle, the directory an OCI runtime starts a container
// from, and tries it.
func ociStarter(b *testing.B, tool string) *starter {
	s := &starter{name: tool, unit: "ms-" + tool}
	if _, err := exec.LookPath(tool); err != nil {
		s.refused = errors.New("not installed")
		return s
	}
	if version, err := exec.Command(tool, "--version").Output(); err == nil { // runc version 1.1.5
		s.name = strings.Replace(strings.SplitN(string(version), "\n", 2)[0], " version", "", 1)
	}
	// The id also names the cgroup, in every hierarchy.
	id := fmt.Sprintf("go-docker-bench.%d.%s", os.Getpid(), tool)
	bundle := b.TempDir()
	if err := makeBundle(bundle, id); err != nil {
		b.Fatalf("make a bundle for %s: %v", tool, err)
	}
	b.Cleanup(func() {
		_ = exec.Command(tool, "delete", "--force", id).Run() // fails if nothing is left, as it should be
		for _, dir := range cgroupsNamed(b, id) {
			b.Errorf("%s left %s behind", tool, dir)
			if err := cgroup.RemoveAll(dir); err != nil {
				b.Error(err)
			}
		}
	})
	s.args = []string{tool, "run", "--bundle", bundle, id}
	s.refused = s.run()
	s.took = nil
	return s
}

// cgroupsNamed returns the directories with that name at the top of all
// hierarchies.
func cgroupsNamed(b *testing.B, name string) []string {
	hierarchies, err := hierarchy.All()
	if err != nil {
		b.Fatal(err)
	}
	var found []string
	for _, h := range hierarchies {
		dir := filepath.Join(h.Mount, name)
		if _, err := os.Stat(dir); err == nil {
			found = append(found, dir)
		}
	}
	return found
}

// makeBundle writes config.json and a root file system with the host's
// /bin/true, which all of us run, and the libraries it needs.
func makeBundle(dir, id string) error {
	root := filepath.Join(dir, "rootfs")
	for _, place := range []string{"proc", "dev"} { // crun looks for /dev
		if err := os.MkdirAll(filepath.Join(root, place), 0o755); err != nil {
			return err
		}
	}
	libraries, err := exec.Command("ldd", "/bin/true").Output()
	if err != nil && !errors.Is(err, exec.ErrNotFound) { // a machine with only busybox has none, and needs none
		return fmt.Errorf("ldd /bin/true: %w", err)
	}
	for _, word := range append(strings.Fields(string(libraries)), "/bin/true") {
		if !filepath.IsAbs(word) { // libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0e...)
			continue
		}
		if err := copyProgram(word, filepath.Join(root, word)); err != nil {
			return err
		}
	}
	type object = map[string]any
	var namespaces []object
	for _, kind := range []string{"pid", "uts", "ipc", "mount", "network", "cgroup"} {
		namespaces = append(namespaces, object{"type": kind})
	}
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"root":       object{"path": "rootfs", "readonly": true},
		"hostname":   "bench",
		"process": object{
			"terminal": false, "cwd": "/", "user": object{"uid": 0, "gid": 0},
			"args": []string{"/bin/true"}, "env": []string{"PATH=/bin"},
		},
		"mounts": []object{{"destination": "/proc", "type": "proc", "source": "proc", "options": []string{"nosuid", "nodev", "noexec"}}},
		"linux": object{
			"namespaces":  namespaces,
			"cgroupsPath": "/" + id,
			"resources": object{
				// As with our -m: memory and swap together get the same limit.
				"memory": object{"limit": benchBytes, "swap": benchBytes},
				"pids":   object{"limit": benchPids},
			},
		},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
}

func copyProgram(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}

// printTable prints the table and hands the medians to go test. A benchmark may
// log ten lines: go test cuts off what comes after.
func printTable(b *testing.B, starters []*starter) {
	var text strings.Builder
	fmt.Fprintf(&text, "start /bin/true within limits, remove all: %d rounds, shuffled, %v apart\n", len(starters[0].took), benchGap)
	fmt.Fprintf(&text, "%-38s %9s %6s %6s %7s %7s", "", "median ms", "p10", "p90", "x runc", "x crun")
	runc, crun := starters[1], starters[2]
	for _, s := range starters {
		if s.refused != nil {
			fmt.Fprintf(&text, "\n%-38s cannot run here: %v", s.name, s.refused)
			continue
		}
		fmt.Fprintf(&text, "\n%-38s %9.1f %6.1f %6.1f %7s %7s", s.name,
			s.percentile(50), s.percentile(10), s.percentile(90), s.ratio(runc), s.ratio(crun))
		if s.unit != "" {
			b.ReportMetric(s.percentile(50), s.unit)
		}
	}
	b.Log(text.String())
	b.ReportMetric(0, "ns/op") // the length of a round means nothing; 0 hides it
	same := starters[len(starters)-1]
	for _, tool := range []*starter{runc, crun} {
		if tool.refused == nil {
			b.ReportMetric(same.percentile(50)/tool.percentile(50), strings.Replace(tool.unit, "ms-", "x-", 1))
		}
	}
}

// measurements returns the starters as rows for the book.
func measurements(starters []*starter) (rows []measurement) {
	for _, s := range starters {
		row := measurement{Section: "day 2 start", Row: s.name}
		for _, took := range s.took {
			row.Seconds = append(row.Seconds, took.Seconds())
		}
		rows = append(rows, row)
	}
	return rows
}

// percentile is in milliseconds.
func (s *starter) percentile(p int) float64 {
	sorted := slices.Sorted(slices.Values(s.took))
	return sorted[(len(sorted)-1)*p/100].Seconds() * 1000
}

func (s *starter) ratio(of *starter) string {
	if of.refused != nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", s.percentile(50)/of.percentile(50))
}
