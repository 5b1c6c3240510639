package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day2-cgroups/container"
)

// delegate gives the user nobody a cgroup, as a system manager would:
// cgroup-v2.rst, "Delegation"; cgroups(7). It returns the cgroups to be in and,
// for each hierarchy, the one that is delegated.
func delegate(t *testing.T) (session, delegated []string) {
	t.Helper()
	version, controllers := controllersHere(t)
	seen := map[string]bool{}
	for _, name := range counters[version] {
		h, ok := controllers[name]
		if !ok || seen[h.Mount] {
			continue
		}
		seen[h.Mount] = true
		dir := ownCgroup(t, name, "delegated")
		inside := dir
		if version == 2 { // processes must be in leaves
			for _, controller := range []string{"memory", "pids", "cpu"} {
				enableFor(t, filepath.Dir(dir), controller)
			}
			inside = filepath.Join(dir, "session")
			if err := os.Mkdir(inside, 0o755); err != nil {
				t.Fatal(err)
			}
			own(t, inside)
		}
		own(t, dir)
		session, delegated = append(session, inside), append(delegated, dir)
	}
	return session, delegated
}

func own(t *testing.T, dir string) {
	t.Helper()
	for _, file := range []string{".", "cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"} {
		if err := os.Chown(filepath.Join(dir, file), nobody, nobody); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// asNobody returns the program as the user nobody runs it in these cgroups.
func asNobody(t *testing.T, session []string, args ...string) *exec.Cmd {
	t.Helper()
	runtimeDir := t.TempDir()
	if err := os.Chown(runtimeDir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(runtimeDir), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left := tree(filepath.Join(runtimeDir, "go-docker"), false); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	cmd := program(t, append(append([]string{"payload", "enter"}, append(session, "--")...), args...)...)
	cmd.Dir = "/"
	cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+runtimeDir)
	return cmd
}

func TestDelegated(t *testing.T) {
	kernelTest(t)
	session, delegated := delegate(t)
	before := cgroupsBelow(delegated)
	// /proc/self/exe, because the user nobody may not enter go test's
	// directory.
	for _, test := range []struct {
		args   string
		status int
	}{
		{"run true", 0},
		{"run -m 64m /proc/self/exe hog 32m", 0},
		{"run -m 64m /proc/self/exe hog 128m", 137},
		{"run --init=false -m 64m /proc/self/exe hog 128m", 137},
		{"run --pids-limit 20 /no/such/command", 127},
		{"-m 20m", 0},
	} {
		got := finish(t, asNobody(t, session, strings.Fields(test.args)...))
		if got.status != test.status {
			t.Errorf("%s: %+v, want status %d", test.args, got, test.status)
		}
		if after := cgroupsBelow(delegated); after != before {
			t.Errorf("%s: cgroups before %s, after %s", test.args, before, after)
		}
	}
	// The container is in the delegated cgroups and nowhere else.
	got := finish(t, asNobody(t, session, "run", "--pid", "--mount", "cat", "/proc/self/cgroup"))
	if n := strings.Count(got.stdout, "/"+testParent+"/delegated/go-docker-"); got.status != 0 || n != len(delegated) {
		t.Errorf("%d of %d cgroups are below the delegated: %+v", n, len(delegated), got)
	}
}

func cgroupsBelow(dirs []string) string {
	var all []string
	for _, dir := range dirs {
		all = append(all, tree(dir, true)...)
	}
	return strings.Join(all, " ")
}

// The user may make cgroups in this one, but has processes in it.
func TestDelegatedAndOccupied(t *testing.T) {
	kernelTest(t)
	if version, _ := controllersHere(t); version == 1 {
		t.Skip("version 1 has no such rule")
	}
	_, delegated := delegate(t)
	before := cgroupsBelow(delegated)
	refuses(t, asNobody(t, delegated, "run", "true"), container.RuntimeError,
		delegated[0], "no internal processes", "move them into a child")
	if after := cgroupsBelow(delegated); after != before {
		t.Errorf("cgroups before %s, after %s", before, after)
	}
}

// In a container with version 2, the top of the hierarchy is a cgroup like any
// other, and the process that starts us is in it.
func TestInsideContainer(t *testing.T) {
	kernelTest(t)
	version, controllers := controllersHere(t)
	if version == 1 {
		t.Skip("version 1 has no such rule")
	}
	top := ownCgroup(t, "memory", "container")
	for _, controller := range []string{"memory", "pids", "cpu"} {
		enableFor(t, filepath.Dir(top), controller)
	}
	dir, err := os.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	run := func(args ...string) *exec.Cmd {
		cmd := program(t, append([]string{"payload", "nested"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWCGROUP | unix.CLONE_NEWNS,
			UseCgroupFD: true,
			CgroupFD:    int(dir.Fd()),
		}
		return cmd
	}
	mount := controllers["memory"].Mount
	refuses(t, run("--", "run", "true"), container.RuntimeError, mount, "no internal processes", "mkdir "+mount+"/leaf")
	if below := tree(top, true); len(below) > 1 {
		t.Errorf("made: %q", below[1:])
	}
	// As the message says.
	got := finish(t, run("leaf", "--", "run", "-m", "64m", testBinary(t), "hog", "128m"))
	if got.status != 137 || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	if below := tree(top, true); len(below) != 2 {
		t.Errorf("there are %q, want just the leaf", below)
	}
}
