package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"example.com/go-docker/day2-cgroups/cgroup"
	"example.com/go-docker/day2-cgroups/container"
)

// With a bad value nothing is made, and a single line says which flag is wrong.
func TestBadLimitMakesNothing(t *testing.T) {
	kernelTest(t)
	forEachRefused(func(flag string, args ...string) {
		marker := filepath.Join(t.TempDir(), "ran")
		refuses(t, contained(t, append(args, "touch", marker)...), container.RuntimeError, flag)
		if _, err := os.Stat(marker); err == nil {
			t.Errorf("%q: the command has run", args)
		}
	})
	for _, parent := range []string{"..", "../x", "x/../../y", "/.."} {
		refuses(t, program(t, "run", "--cgroup-parent", parent, "true"), container.RuntimeError, "--cgroup-parent", "..")
	}
}

// What can never be a cgroup cannot be removed either, and leaves no record.
func TestParentThatCannotBe(t *testing.T) {
	kernelTest(t)
	for _, test := range []struct{ parent, why string }{
		{"cgroup.procs", "not a directory"}, {strings.Repeat("x", 5000), "file name too long"},
	} {
		refuses(t, program(t, "run", "--cgroup-parent", testParent+"/"+test.parent, "true"), container.RuntimeError, test.why)
		nothingLeft(t, test.why)
	}
}

// The list is valid but the CPUs do not exist, so the kernel refuses it.
func TestNoSuchCPU(t *testing.T) {
	kernelTest(t)
	for _, cpu := range []string{fmt.Sprint(runtime.NumCPU() + 20), "8191"} {
		refuses(t, contained(t, "--cpuset-cpus", cpu, "true"), container.RuntimeError, "cpuset.cpus", `"`+cpu+`"`, "does not have all of these CPUs")
		nothingLeft(t, cpu)
	}
}

// A limit is refused if this program's own threads would hit it, and only then.
func TestSmallPidsLimit(t *testing.T) {
	kernelTest(t)
	version, _ := controllersHere(t)
	for _, test := range []struct {
		limit, init string
		refusedIn   int
	}{{"1", "true", 1}, {"2", "true", 0}, {"1", "false", 2}, {"15", "false", 2}, {"16", "false", 0}} {
		cmd := contained(t, "--pids-limit", test.limit, "--init="+test.init, "true")
		if test.refusedIn == version {
			refuses(t, cmd, container.RuntimeError, "--pids-limit "+test.limit, "init")
		} else if got := finish(t, cmd); got.status != 0 {
			t.Errorf("--pids-limit %s --init=%s: %+v", test.limit, test.init, got)
		}
	}
}

// ownCgroup makes a cgroup below the tests' own for the test to use.
func ownCgroup(t *testing.T, controller, name string) string {
	t.Helper()
	_, controllers := controllersHere(t)
	dir := filepath.Join(controllers[controller].Mount, testParent, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // a run makes the same parent in all hierarchies
		for _, mount := range cgroupMounts(t) {
			if err := cgroup.RemoveAll(filepath.Join(mount, testParent, name)); err != nil {
				t.Error(err)
			}
		}
	})
	return dir
}

// set writes a cgroup file for the test.
func set(t *testing.T, dir, file, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// occupy puts a process into a cgroup, until the returned function is called.
func occupy(t *testing.T, dir string, command ...string) (leave func()) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `echo $$ >"$0/cgroup.procs"; echo ready; exec "$@"`, dir}, command...)...)
	l := launch(t, cmd)
	l.says("ready\n")
	return func() {
		_ = l.cmd.Process.Kill() // fails only if it has ended
		l.wait()
	}
}

// The CPUs exist but the parent cgroup does not have them. Version 1 refuses
// them; version 2 accepts them and uses others.
func TestCPUsOutsideOfParent(t *testing.T) {
	kernelTest(t)
	cpus := strings.Fields(finish(t, contained(t, testBinary(t), "payload", "affinity")).stdout)
	if len(cpus) < 2 {
		t.Skip("needs two CPUs")
	}
	version, _ := controllersHere(t)
	parent := ownCgroup(t, "cpuset", "small")
	if version == 2 {
		enableFor(t, filepath.Dir(parent), "cpuset")
	} else {
		for _, dir := range []string{filepath.Dir(parent), parent} {
			set(t, dir, "cpuset.cpus", cpus[0])
			set(t, dir, "cpuset.mems", "0")
		}
	}
	set(t, parent, "cpuset.cpus", cpus[0])
	run := func(cpu string) *exec.Cmd {
		return program(t, "run", "--cgroup-parent", testParent+"/small", "--cpuset-cpus", cpu, testBinary(t), "payload", "affinity")
	}
	refuses(t, run(cpus[1]), container.RuntimeError, "cpuset.cpus", `"`+cpus[1]+`"`, "the cgroup above")
	finish(t, run(cpus[0])).want(t, cpus[0]+"\n")
	if entries := tree(parent, true); len(entries) != 1 {
		t.Errorf("left in the parent: %q", entries[1:])
	}
}

func enableFor(t *testing.T, dir, controller string) {
	t.Helper()
	set(t, dir, "cgroup.subtree_control", "+"+controller)
}

// A version 2 cgroup with processes cannot limit children.
func TestParentWithProcesses(t *testing.T) {
	kernelTest(t)
	if version, _ := controllersHere(t); version == 1 {
		t.Skip("version 1 has no such rule")
	}
	parent := ownCgroup(t, "memory", "busy")
	defer occupy(t, parent, "sleep", "1000")()
	refuses(t, program(t, "run", "--cgroup-parent", testParent+"/busy", "true"), container.RuntimeError,
		parent+"/cgroup.subtree_control", "device or resource busy", "no internal processes", "move them into a child")
	if entries := tree(parent, true); len(entries) != 1 {
		t.Errorf("left in the parent: %q", entries[1:])
	}
}
