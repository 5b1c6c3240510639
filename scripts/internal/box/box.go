// Package box gives a test a machine of its own to litter: mount, network and
// IPC namespaces in which /tmp and /run are empty and every cgroup hierarchy
// shows one fresh cgroup as its root. What other processes do to the real ones
// meanwhile is out of sight, and what the test does to its own goes with it.
// Processes are the machine's.
package box

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const (
	env = "GO_DOCKER_TEST_BOX" // the name of our cgroup, inside the box
	top = "/sys/fs/cgroup"
)

// Enter runs the calling test once more, alone and inside a box, and reports
// whether we are in it:
//
//	if !box.Enter(t) {
//		return // the test has run
//	}
func Enter(t *testing.T) bool {
	t.Helper()
	if name := os.Getenv(env); name != "" {
		if err := furnish(name); err != nil {
			t.Fatalf("set up the box: %v", err)
		}
		return true
	}
	NeedRoot(t)
	name := "go-docker-test." + strconv.Itoa(os.Getpid())
	made := makeCgroups(t, name)
	defer removeCgroups(t, made)

	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	if end, ok := t.Deadline(); ok { // its end must not be ours, or nobody tidies up
		cmd.Args = append(cmd.Args, "-test.timeout="+(time.Until(end)*9/10).String())
	}
	cmd.Env = append(os.Environ(), env+"="+name, "TMPDIR=/tmp")
	// Go makes / private in the new mount namespace, so nothing gets out.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC}
	cmd.WaitDelay = 30 * time.Second // a process that the test forgot may hold the pipe
	out, err := cmd.CombinedOutput()
	t.Logf("in the box:\n%s", out)
	switch {
	case err != nil:
		t.Errorf("in the box: %v", err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skip("skipped in the box, see above")
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Error("the test did not run in the box")
	}
	return false
}

// NeedRoot skips a test that only root can run. Where
// GO_DOCKER_MUST_RUN=1 promises a complete machine, as in CI, it fails instead.
func NeedRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("GO_DOCKER_MUST_RUN") == "1":
		t.Fatal("needs root, and GO_DOCKER_MUST_RUN=1 does not let it skip")
	default:
		t.Skip("needs root")
	}
}

// Hierarchies are the mount points of the cgroup hierarchies, of type "cgroup"
// (v1), "cgroup2", or both if no type is given.
func Hierarchies(t *testing.T, fstype ...string) []string {
	t.Helper()
	if len(fstype) == 0 {
		fstype = []string{"cgroup", "cgroup2"}
	}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter(fstype...))
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, m := range mounts {
		// In the box the real ones are still in the table, below our tmpfs.
		boxed := m.Root == "/"+os.Getenv(env)
		if strings.HasPrefix(m.Mountpoint, top) && (boxed || os.Getenv(env) == "") {
			dirs = append(dirs, m.Mountpoint)
		}
	}
	return dirs
}

func makeCgroups(t *testing.T, name string) (made []string) {
	for _, h := range Hierarchies(t) {
		dir := filepath.Join(h, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		made = append(made, dir)
		if err := openCpuset(dir); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// openCpuset: a new v1 cpuset has neither CPUs nor memory nodes and admits
// nobody. Ours gets those of its parent, and hands them on to its children.
func openCpuset(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "cpuset.memory_migrate")); err != nil {
		return nil // not v1, or not that controller
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		list, err := os.ReadFile(filepath.Join(dir, "..", file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), list, 0)
		}
		if err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.clone_children"), []byte("1"), 0)
}

// removeCgroups ends what the test left in them, and fails if that is not
// enough.
func removeCgroups(t *testing.T, made []string) {
	for _, dir := range made {
		err := rmdirAll(dir)
		for end := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(end); err = rmdirAll(dir) {
			killAll(t, dir) // who dies leaves a moment later
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("remove the box's cgroup: %v", err)
		}
	}
}

func killAll(t *testing.T, dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "cgroup.procs" {
			procs, _ := os.ReadFile(path)
			for _, p := range strings.Fields(string(procs)) {
				if pid, err := strconv.Atoi(p); err == nil && pid > 0 {
					t.Logf("left in %s: process %d", filepath.Dir(path), pid)
					_ = unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
		if err == nil && d.Name() == "freezer.state" && path != filepath.Join(dir, "freezer.state") {
			_ = os.WriteFile(path, []byte("THAWED"), 0)
		}
		return nil // rmdir will show whether it mattered
	})
}

func rmdirAll(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		err = os.Remove(dirs[i])
	}
	return err
}

func furnish(name string) error {
	if err := withoutOthers(); err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return err
	}
	if err := tmpfs("/run"); err != nil {
		return err
	}
	// Our cgroups have to be bound elsewhere before the cover hides them.
	moves := map[string]string{}
	for i, m := range mounts {
		if !strings.HasPrefix(m.Mountpoint, top) {
			continue
		}
		side := "/run/box/" + strconv.Itoa(i)
		if err := os.MkdirAll(side, 0o755); err != nil {
			return err
		}
		from := filepath.Join(m.Mountpoint, name)
		if err := unix.Mount(from, side, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s on %s: %w", from, side, err)
		}
		moves[side] = m.Mountpoint
	}
	if err := tmpfs(top); err != nil {
		return err
	}
	for side, to := range moves {
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(side, to, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s to %s: %w", side, to, err)
		}
	}
	if err := os.RemoveAll("/run/box"); err != nil {
		return err
	}
	return tmpfs("/tmp")
}

// withoutOthers takes others' mounts below /tmp out of the box. One would vanish
// from here, too, when its directory is removed. mount_namespaces(7)
func withoutOthers() error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	others, err := mountinfo.GetMounts(mountinfo.PrefixFilter("/tmp"))
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(others) {
		if m.Mountpoint == "/tmp" || strings.HasPrefix(here+"/", m.Mountpoint+"/") { // or we would lose our place
			continue
		}
		err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // it may just have vanished
			return fmt.Errorf("take %s away: %w", m.Mountpoint, err)
		}
	}
	return nil
}

func tmpfs(dir string) error {
	if err := unix.Mount("box", dir, "tmpfs", 0, "mode=1777"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", dir, err)
	}
	return nil
}
