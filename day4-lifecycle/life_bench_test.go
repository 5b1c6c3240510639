package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Benchmarks run us and our peers in turns, so that a busy machine slows all of
// them equally. What counts is the ratio. scripts/bench.sh makes the book's
// tables from them.

// A benchRow is a row of a table, as scripts/figures reads it.
type benchRow struct {
	Section   string    `json:"section"`
	Row       string    `json:"row"`
	Seconds   []float64 `json:"seconds"`   // of each round
	Megabytes []float64 `json:"megabytes"` // or of each process

	timed, after func(n int) error
}

// turns runs the rows in turns, with pauses, because work left to the kernel by
// one would slow the next.
func turns(b *testing.B, pause time.Duration, rows []*benchRow) {
	for n := 0; b.Loop(); n++ {
		for _, i := range rand.Perm(len(rows)) {
			r := rows[i]
			time.Sleep(pause)
			began := time.Now()
			err := r.timed(n)
			r.Seconds = append(r.Seconds, time.Since(began).Seconds())
			if err == nil && r.after != nil {
				err = r.after(n)
			}
			if err != nil {
				b.Fatalf("%s: %v", r.Row, err)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	record(b, rows)
}

// record logs the rows, and adds them to the file that GO_DOCKER_BENCH names.
func record(b *testing.B, rows []*benchRow) {
	b.Helper()
	median := func(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }
	var text strings.Builder
	for _, r := range rows {
		values, unit, scale := r.Seconds, "ms", 1000.0
		if len(r.Megabytes) > 0 {
			values, unit, scale = r.Megabytes, "MB", 1
		}
		fmt.Fprintf(&text, "\n%-32s median %8.2f %s, least %8.2f, x the first %.2f", r.Row, scale*median(values), unit, scale*slices.Min(values), median(values)/median(slices.Concat(rows[0].Seconds, rows[0].Megabytes)))
	}
	b.Log(text.String())
	path := os.Getenv("GO_DOCKER_BENCH")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for _, r := range rows {
		if err := json.NewEncoder(file).Encode(r); err != nil {
			b.Fatal(err)
		}
	}
}

// call runs a command; its output is part of the error.
func call(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%q: %w: %.500s", args, err, out)
	}
	return nil
}

// A bench is us and those of our peers that run on this machine, with the same
// root.
type bench struct {
	*world
	dir    string
	ours   []string
	podman []string // nil: does not run on this machine
}

func newBench(b *testing.B) *bench {
	w := newWorld(b)
	dir, err := os.MkdirTemp("", "b.") // podman needs short paths
	if err != nil {
		b.Fatal(err)
	}
	t := &bench{world: w, dir: dir, ours: []string{w.program, "--root", w.root}}
	keepCgroups(b)
	b.Cleanup(func() {
		_ = exec.Command("umount", dir+"/p/vfs").Run() // podman may have left this
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	if err := os.MkdirAll(dir+"/bundle/rootfs/proc", 0o755); err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"sys", "dev"} {
		if err := os.Mkdir(dir+"/bundle/rootfs/"+name, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	tar := exec.Command("tar", "-x", "-C", dir+"/bundle/rootfs")
	tar.Stdin = bytes.NewReader(busyboxTar(b))
	if out, err := tar.CombinedOutput(); err != nil {
		b.Fatalf("tar: %v: %s", err, out)
	}
	t.findPodman(b)
	return t
}

// keepCgroups finally removes the cgroups that podman and containerd make for
// all their containers and leave behind, unless they existed before.
func keepCgroups(b *testing.B) {
	for _, dir := range append(hierarchies(b), "/sys/fs/cgroup/unified") {
		for _, name := range []string{"libpod_parent", "default"} {
			path := filepath.Join(dir, name)
			if _, err := os.Stat(path); err != nil {
				b.Cleanup(func() {
					_ = os.Remove(path + "/conmon") // if it exists and is empty
					_ = os.Remove(path)
				})
			}
		}
	}
}

// podmanLimits sets limits that podman would otherwise raise, which requires
// CAP_SYS_RESOURCE.
var podmanLimits = []string{"--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"}

func (t *bench) findPodman(b *testing.B) {
	podman := []string{"podman", "--root", t.dir + "/p", "--runroot", t.dir + "/r", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc"}
	tar := t.dir + "/root.tar" // not busyboxTar, because podman wants each name only once
	err := call("tar", "-C", t.dir+"/bundle/rootfs", "-cf", tar, ".")
	if err == nil {
		err = call(append(podman, "import", tar, "localhost/bench")...)
	}
	t.podman = podman
	if err == nil {
		err = t.pod("run", "--rm", "localhost/bench", "/bin/true")
	}
	if err != nil {
		b.Logf("podman does not run here: %v", err)
		t.podman = nil
	}
}

// pod is podman.
func (t *bench) pod(args ...string) error {
	if args[0] == "run" {
		args = append(append([]string{"run"}, podmanLimits...), args[1:]...)
	}
	return call(append(slices.Clone(t.podman), args...)...)
}

// us is our program.
func (t *bench) us(args ...string) error { return call(append(slices.Clone(t.ours), args...)...) }

// runtime returns runc or crun with a bundle of its own, or nil if it does not
// run on this machine. Debian's crun refuses a machine with both cgroup
// versions.
func (t *bench) runtime(b *testing.B, name string, args ...string) func(args ...string) error {
	bundle := t.dir + "/" + name
	runtime := func(args ...string) error {
		cmd := exec.Command(name, append([]string{"--root", t.dir + "/" + name + ".state"}, args...)...)
		cmd.Dir = bundle
		if err := cmd.Run(); err != nil { // without pipes, which a detached container would keep open
			return fmt.Errorf("%q: %w", cmd.Args, err)
		}
		return nil
	}
	err := os.Mkdir(bundle, 0o755)
	if err == nil {
		err = call("runc", "spec", "--bundle", bundle)
	}
	var spec map[string]any
	text, errRead := os.ReadFile(bundle + "/config.json")
	if err == nil && errRead == nil {
		err = json.Unmarshal(text, &spec)
	}
	if err != nil || errRead != nil {
		b.Logf("%s does not run here: %v", name, err)
		return nil
	}
	process := spec["process"].(map[string]any)
	process["terminal"], process["args"] = false, args
	delete(process, "rlimits")
	spec["root"] = map[string]any{"path": t.dir + "/bundle/rootfs"}
	if text, err = json.Marshal(spec); err == nil {
		err = os.WriteFile(bundle+"/config.json", text, 0o600)
	}
	if err == nil {
		err = runtime("run", "-d", "trial")
	}
	if err == nil {
		err = runtime("delete", "-f", "trial")
	}
	if err != nil {
		b.Logf("%s does not run here: %v", name, err)
		return nil
	}
	return runtime
}

// BenchmarkDetach starts a detached container and waits until its command is
// running.
func BenchmarkDetach(b *testing.B) {
	t := newBench(b)
	rows := []*benchRow{{
		Section: "detach", Row: "ours",
		timed: func(n int) error {
			return t.us("run", "-d", "--cgroup-parent", testParent, "--name", fmt.Sprint("c", n), "box", "/bin/sleep", "1000")
		},
		after: func(n int) error { return t.us("rm", "-f", fmt.Sprint("c", n)) },
	}}
	for _, name := range []string{"runc", "crun"} {
		if runtime := t.runtime(b, name, "/bin/sleep", "1000"); runtime != nil {
			rows = append(rows, &benchRow{
				Section: "detach", Row: name,
				timed: func(n int) error { return runtime("run", "-d", fmt.Sprint("bench", n)) },
				after: func(n int) error { return runtime("delete", "-f", fmt.Sprint("bench", n)) },
			})
		}
	}
	if t.podman != nil {
		rows = append(rows, &benchRow{
			Section: "detach", Row: "podman",
			timed: func(n int) error {
				return t.pod("run", "-d", "--name", fmt.Sprint("c", n), "localhost/bench", "/bin/sleep", "1000")
			},
			after: func(n int) error { return t.pod("rm", "-f", "-t", "0", fmt.Sprint("c", n)) },
		})
	}
	turns(b, 40*time.Millisecond, rows)
}

// BenchmarkExec executes /bin/true in a running container.
func BenchmarkExec(b *testing.B) {
	t := newBench(b)
	t.ok("run", "-d", "--name", "web", "box", "/bin/sleep", "1000")
	rows := []*benchRow{{Section: "exec", Row: "ours", timed: func(int) error { return t.us("exec", "web", "/bin/true") }}}
	for _, name := range []string{"runc", "crun"} {
		if runtime := t.runtime(b, name, "/bin/sleep", "1000"); runtime != nil {
			if err := runtime("run", "-d", "bench"); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = runtime("delete", "-f", "bench") }()
			rows = append(rows, &benchRow{Section: "exec", Row: name, timed: func(int) error { return runtime("exec", "bench", "/bin/true") }})
		}
	}
	if t.podman != nil {
		if err := t.pod("run", "-d", "--name", "web", "localhost/bench", "/bin/sleep", "1000"); err != nil {
			b.Fatal(err)
		}
		defer func() { _ = t.pod("rm", "-f", "-t", "0", "web") }()
		rows = append(rows, &benchRow{Section: "exec", Row: "podman", timed: func(int) error { return t.pod("exec", "web", "/bin/true") }})
	}
	turns(b, 40*time.Millisecond, rows)
}

// BenchmarkPs lists 200 running containers.
func BenchmarkPs(b *testing.B) {
	t := newBench(b)
	for range times(200) {
		t.ok("run", "-d", "box", "/bin/sleep", "1000")
	}
	turns(b, 20*time.Millisecond, []*benchRow{
		{Section: "ps", Row: "ours, ps", timed: func(int) error { return t.us("ps") }},
		{Section: "ps", Row: "a start, run --help", timed: func(int) error { return t.us("run", "--help") }},
	})
}

// BenchmarkLog makes a container write 128 MiB of short lines, and waits until
// all of it is in the log.
func BenchmarkLog(b *testing.B) {
	t := newBench(b)
	line := strings.Repeat("0123456789", 6) + "abc\n"
	size := times(10) * (128 << 20) / 10
	data := t.dir + "/data"
	if err := os.WriteFile(data, bytes.Repeat([]byte(line), size/len(line)), 0o644); err != nil {
		b.Fatal(err)
	}
	rows := []*benchRow{{
		Section: "log", Row: "ours",
		timed: func(int) error {
			if err := t.us("run", "-d", "--name", "loud", "-v", data+":/data", "box", "cat", "/data"); err != nil {
				return err
			}
			return t.us("wait", "loud")
		},
		after: func(int) error {
			text := t.read(t.ok("inspect", "-f", "{{.LogPath}}", "loud"))
			if lines := strings.Count(text, "\n"); lines != size/len(line) {
				return fmt.Errorf("%d lines of %d", lines, size/len(line))
			}
			return t.us("rm", "loud")
		},
	}}
	if t.podman != nil {
		rows = append(rows, &benchRow{
			Section: "log", Row: "conmon, of podman, k8s-file",
			timed: func(int) error {
				if err := t.pod("run", "-d", "--name", "loud", "--log-driver", "k8s-file", "-v", data+":/data", "localhost/bench", "cat", "/data"); err != nil {
					return err
				}
				return t.pod("wait", "-i", "10ms", "loud")
			},
			after: func(int) error { return t.pod("rm", "loud") },
		})
	}
	turns(b, 100*time.Millisecond, rows)
}

// BenchmarkShimMemory measures the private memory of idle shims, five of each
// kind.
func BenchmarkShimMemory(b *testing.B) {
	t := newBench(b)
	const many = 5
	ours := &benchRow{Section: "shim memory", Row: "ours"}
	conmon := &benchRow{Section: "shim memory", Row: "conmon"}
	containerd := &benchRow{Section: "shim memory", Row: "containerd-shim-runc-v2"}
	rows := []*benchRow{ours}
	for i := range many {
		t.ok("run", "-d", "--name", fmt.Sprint("c", i), "box", "/bin/sleep", "1000")
		if t.podman != nil {
			if err := t.pod("run", "-d", "--name", fmt.Sprint("c", i), "localhost/bench", "/bin/sleep", "1000"); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = t.pod("rm", "-f", "-t", "0", fmt.Sprint("c", i)) }()
		}
	}
	stop, err := t.startContainerd(many)
	defer stop()
	time.Sleep(3 * time.Second) // let them come to rest
	for i := range many {
		ours.Megabytes = append(ours.Megabytes, ownMegabytes(b, t.state(fmt.Sprint("c", i)).ShimPID))
	}
	if t.podman != nil {
		rows = append(rows, conmon)
		conmon.Megabytes = ownOf(b, "conmon.*"+t.dir)
	}
	if err != nil {
		b.Logf("containerd does not run here: %v", err)
	} else {
		rows = append(rows, containerd)
		containerd.Megabytes = ownOf(b, "containerd-shim-runc-v2.*"+t.dir)
	}
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op")
	record(b, rows)
}

// startContainerd starts a containerd of our own, and containers of it.
func (t *bench) startContainerd(many int) (stop func(), err error) {
	stop = func() {}
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n", t.dir+"/croot", t.dir+"/cstate", t.dir+"/csock")
	if err := os.WriteFile(t.dir+"/containerd.toml", []byte(config), 0o600); err != nil {
		return stop, err
	}
	daemon := exec.Command("containerd", "-c", t.dir+"/containerd.toml")
	if err := daemon.Start(); err != nil {
		return stop, err
	}
	ctr := func(args ...string) error { return call(append([]string{"ctr", "-a", t.dir + "/csock"}, args...)...) }
	started := 0
	stop = func() {
		for i := range started {
			name := fmt.Sprint("c", i)
			_ = ctr("task", "kill", "-s", "9", name)
			for range 100 {
				if ctr("task", "rm", name) == nil {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			_ = ctr("container", "rm", name)
		}
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait()
	}
	for end := time.Now().Add(10 * time.Second); ctr("version") != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return stop, fmt.Errorf("it does not answer")
		}
	}
	for i := range many {
		if err := ctr("run", "-d", "--rootfs", t.dir+"/bundle/rootfs", fmt.Sprint("c", i), "/bin/sleep", "1000"); err != nil {
			return stop, err
		}
		started++
	}
	return stop, nil
}

// ownOf returns ownMegabytes of each process whose command line matches.
func ownOf(b *testing.B, pattern string) (all []float64) {
	b.Helper()
	fits := regexp.MustCompile(pattern)
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && fits.Match(text) {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			all = append(all, ownMegabytes(b, pid))
		}
	}
	if len(all) == 0 {
		b.Fatalf("no process is %s", pattern)
	}
	return all
}

// ownMegabytes returns the memory that a process shares with no other, which is
// what one more such process costs. proc_pid_smaps(5)
func ownMegabytes(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^Private_(?:Clean|Dirty): +(\d+) kB`).FindAllStringSubmatch(string(text), -1) {
		kilobytes, _ := strconv.Atoi(m[1])
		sum += kilobytes
	}
	return float64(sum) / 1024
}
