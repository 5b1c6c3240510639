package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"example.com/go-docker/day3-images/internal/testkit"
)

// BenchmarkStart starts a container that does nothing, with limits on memory
// and processes, and removes it: ours from an image, runc and crun with an
// existing root directory, and podman with the same image. There are 40 ms
// between runs, because work left to the kernel by one run affects the next:
// moving a process between version 1 cgroups waits for a grace period, but not
// soon after another move.
//
//	go test -run '^$' -bench Start -benchtime 50x
func BenchmarkStart(b *testing.B) {
	needRoot(b)
	dir := benchDir(b)
	rows := startRows(b, dir)
	for i, r := range rows {
		r.measureMemory(b, fmt.Sprint("memory", i))
	}
	n := 0
	for b.Loop() {
		for _, i := range rand.Perm(len(rows)) {
			n++
			time.Sleep(40 * time.Millisecond)
			rows[i].run(b, fmt.Sprint("bench", n))
		}
	}
	ours, runc, crun := rows[0], rows[3], rows[4]
	b.Log(benchTable(rows, runc, crun))
	recordBench(b, measurements("start", rows))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(1000*ours.median(), "ms")
	b.ReportMetric(float64(ours.kilobytes)/1024, "MB")
	for name, r := range map[string]*benchRow{"x-runc": runc, "x-crun": crun} {
		if r.median() > 0 {
			b.ReportMetric(ours.median()/r.median(), name)
		}
	}
}

// BenchmarkGoStart measures how long a program takes to start and do nothing.
// Each container starts ours twice.
func BenchmarkGoStart(b *testing.B) {
	_, err := exec.LookPath("busybox")
	need(b, err == nil, "busybox")
	dir := benchDir(b)
	if err := os.WriteFile(dir+"/nothing.go", []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	testkit.ToolOutput(b, "go", "build", "-o", dir+"/nothing", dir+"/nothing.go")
	testkit.ToolOutput(b, "go", "build", "-o", dir+"/static", ".")
	testkit.ToolOutput(b, "go", "build", "-tags=", "-o", dir+"/docs", ".")
	plain := exec.Command("go", "build", "-tags=", "-o", dir+"/plain", ".")
	plain.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := plain.CombinedOutput()
	need(b, err == nil, "a C compiler: "+string(out))
	row := func(name string, args ...string) *benchRow {
		return &benchRow{name: name, command: func(string) *exec.Cmd { return exec.Command(args[0], args[1:]...) }}
	}
	rows := []*benchRow{
		row("busybox true, in C", "busybox", "true"),
		row("nothing, in Go", dir+"/nothing"),
		row("ours, run --help", dir+"/static", "run", "--help"),
		row("ours, run --help, with the manual page", dir+"/docs", "run", "--help"),
		row("ours, run --help, with that and C's library", dir+"/plain", "run", "--help"),
	}
	for _, r := range rows {
		r.measureMemory(b, "")
	}
	for b.Loop() {
		for _, i := range rand.Perm(len(rows)) {
			time.Sleep(10 * time.Millisecond)
			rows[i].run(b, "")
		}
	}
	b.Log(benchTable(rows, rows[1]))
	recordBench(b, measurements("go start", rows))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(1000*rows[2].median(), "ms")
}

func startRows(b *testing.B, dir string) []*benchRow {
	b.Helper()
	program, err := exec.LookPath("day3-images") // a guest has no Go
	if err != nil {
		program = dir + "/day3-images"
		testkit.ToolOutput(b, "go", "build", "-o", program, ".")
	}
	bundle := dir + "/bundle"
	if err := os.MkdirAll(bundle+"/rootfs", 0o755); err != nil {
		b.Fatal(err)
	}
	files := testkit.Tar(b, append(busyboxFiles(b), testkit.Dir("proc"), testkit.Dir("sys"), testkit.Dir("dev"))...)
	unpackInto(b, bundle+"/rootfs", files)
	tar := dir + "/root.tar"
	if err := os.WriteFile(tar, files, 0o600); err != nil {
		b.Fatal(err)
	}
	writeSpec(b, bundle)

	ours := []string{program, "--root", dir + "/store"}
	testkit.ToolOutput(b, ours[0], append(ours[1:], "import", tar, "busybox")...)
	podman := []string{"podman", "--root", dir + "/p", "--runroot", dir + "/pr", "--cgroup-manager", "cgroupfs", "--runtime", "runc"}
	rows := []*benchRow{
		{name: "ours", command: func(string) *exec.Cmd {
			return exec.Command(ours[0], append(ours[1:], "run", "--rm", "-m", "64m", "--pids-limit", "64", "busybox", "/bin/true")...)
		}},
		{name: "ours, kept, no --rm", command: func(string) *exec.Cmd {
			return exec.Command(ours[0], append(ours[1:], "run", "-m", "64m", "--pids-limit", "64", "busybox", "/bin/true")...)
		}},
	}
	peers := []*benchRow{
		{name: "podman", command: func(string) *exec.Cmd {
			return exec.Command(podman[0], append(podman[1:], "run", "--rm", "--network", "none", "--ulimit", "host", "--memory", "64m", "--pids-limit", "64", "localhost/bench", "/bin/true")...)
		}},
	}
	for _, runtime := range []string{"runc", "crun"} {
		peers = append(peers, &benchRow{name: runtime, command: func(id string) *exec.Cmd {
			return exec.Command(runtime, "--root", dir+"/"+runtime, "run", "--bundle", bundle, id)
		}})
	}
	// Bubblewrap makes namespaces and mounts, and no cgroup.
	peers = append(peers, &benchRow{name: "bubblewrap, without limits", command: func(string) *exec.Cmd {
		return exec.Command("bwrap", "--unshare-all", "--bind", bundle+"/rootfs", "/", "--proc", "/proc", "--dev", "/dev", "/bin/true")
	}})
	if _, err := exec.LookPath("podman"); err == nil {
		removeLibpodParent(b)
		if out, err := exec.Command(podman[0], append(podman[1:], "import", tar, "localhost/bench")...).CombinedOutput(); err != nil {
			b.Logf("podman: %v: %s", err, out)
		}
	}
	for _, r := range peers { // Debian's crun refuses a machine with both cgroup versions
		if out, err := r.command("trial").CombinedOutput(); err != nil {
			b.Logf("%s does not run here: %v: %.300s", r.name, err, out)
			r.name, r.command = r.name+": does not run here", nil
		}
	}
	return append(rows, peers...)
}

// removeLibpodParent finally removes the cgroup that podman run makes for all
// its containers and leaves behind.
func removeLibpodParent(b *testing.B) {
	b.Helper()
	find := func(below string) (found []string) {
		for _, pattern := range []string{"/sys/fs/cgroup/libpod_parent", "/sys/fs/cgroup/*/libpod_parent"} {
			dirs, err := filepath.Glob(pattern + below)
			if err != nil {
				b.Fatal(err)
			}
			found = append(found, dirs...)
		}
		return found
	}
	if len(find("")) > 0 {
		return // somebody else's
	}
	b.Cleanup(func() {
		for _, dir := range append(find("/conmon"), find("")...) {
			if err := os.Remove(dir); err != nil {
				b.Error(err)
			}
		}
	})
}

// writeSpec makes runc write its default config.json and adapts it: no
// terminal, the same limits, a writable root.
func writeSpec(b *testing.B, bundle string) {
	b.Helper()
	if _, err := exec.LookPath("runc"); err != nil {
		b.Skip("needs runc, also to write the specification for crun")
	}
	testkit.ToolOutput(b, "runc", "spec", "--bundle", bundle)
	path := filepath.Join(bundle, "config.json")
	var spec map[string]any
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	if err != nil {
		b.Fatal(err)
	}
	process := spec["process"].(map[string]any)
	process["terminal"], process["args"] = false, []string{"/bin/true"}
	spec["root"].(map[string]any)["readonly"] = false
	spec["linux"].(map[string]any)["resources"] = map[string]any{
		"memory": map[string]any{"limit": 64 << 20, "swap": 64 << 20},
		"pids":   map[string]any{"limit": 64},
	}
	if err := os.WriteFile(path, asJSON(b, spec), 0o600); err != nil {
		b.Fatal(err)
	}
}
