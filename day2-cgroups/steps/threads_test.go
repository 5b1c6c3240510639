package steps_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What steps 2 and 8 say of threads, tried. The process that is moved about is this program once more.
func init() {
	if what := os.Getenv("MOVE_THREADS"); what != "" {
		if err := moveThreads(what, os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func moveThreads(what, home, box string) error {
	switch what {
	case "tasks": // 0 in tasks, then 0 in cgroup.procs
		for _, file := range []string{"tasks", "cgroup.procs"} {
			if err := enter(home, "cgroup.procs"); err != nil {
				return err
			}
			if err := enter(box, file); err != nil {
				return err
			}
			fmt.Println(file, len(threads(home)), len(threads(box)))
		}
		return nil
	case "unlocked", "locked":
		return countOutside(what == "locked", home, box)
	}
	return fmt.Errorf("what is %s?", what)
}

func enter(dir, file string) error { return os.WriteFile(dir+"/"+file, []byte("0"), 0) }

func threads(dir string) []string {
	text, _ := os.ReadFile(dir + "/tasks")
	return strings.Fields(string(text))
}

// countOutside makes children as step 8 does and counts those that are outside. Without LockOSThread that is chance,
// so it goes on until it has seen one; with it, there are 300 children.
func countOutside(lock bool, home, box string) error {
	go func() { // there is another goroutine in a program, which wants a processor now and then
		for range time.Tick(time.Millisecond) {
			for range 100000 {
				_ = time.Now().IsZero()
			}
		}
	}()
	runs, outside := 0, 0
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end) && (!lock || runs < 300) && outside == 0; runs++ {
		if err := enter(home, "cgroup.procs"); err != nil { // all threads, also those that earlier runs have moved
			return err
		}
		var err error
		var out []byte
		var once sync.WaitGroup
		once.Go(func() {
			if lock {
				runtime.LockOSThread() // and the thread ends with this goroutine
			}
			if err = enter(box, "tasks"); err == nil {
				if runs > 100 {
					time.Sleep(time.Millisecond) // a line that waits makes it likely, and is as innocent as any other
				}
				out, err = exec.Command("cat", "/proc/self/cgroup").Output()
			}
		})
		once.Wait()
		if err != nil {
			return err
		}
		if !strings.Contains(string(out), box[strings.LastIndex(box, "/"):]+"\n") {
			outside++
		}
	}
	fmt.Println("children", runs, "outside", outside)
	return nil
}

// move runs moveThreads and returns what it prints.
func move(t *testing.T, what, home, box string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, home, box)
	cmd.Env = append(os.Environ(), "MOVE_THREADS="+what)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestThreads(t *testing.T) {
	needRoot(t)
	if v2(t) {
		testThreadsV2(t)
		return
	}
	home, box := makeCgroup(t, "/sys/fs/cgroup/pids", ".home"), makeCgroup(t, "/sys/fs/cgroup/pids", ".box")
	var rest, one, none, all int
	var out string
	for try := 0; try < 10 && one != 1; try++ { // the one may have started another thread by then, at Go's request
		out = move(t, "tasks", home, box)
		if _, err := fmt.Sscanf(out, "tasks %d %d\ncgroup.procs %d %d\n", &rest, &one, &none, &all); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
	}
	if rest < 1 || one != 1 || none != 0 || all < 2 {
		t.Errorf("threads at home and in the box: %q; want one in it by tasks, all by cgroup.procs", out)
	}

	var runs, outside int
	for _, what := range []string{"unlocked", "locked"} {
		if testing.Short() {
			break
		}
		out := move(t, what, home, box)
		if _, err := fmt.Sscanf(out, "children %d outside %d", &runs, &outside); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		t.Logf("%s: %d of %d children were outside", what, outside, runs)
		if (what == "locked") != (outside == 0) {
			t.Errorf("%s: %d of %d children were outside", what, outside, runs)
		}
	}

	// Version 1's cgroups are none that clone3(2) could make a child in.
	dir, err := os.Open(box)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := cmd.Run(); !errors.Is(err, unix.EBADF) {
		t.Errorf("CLONE_INTO_CGROUP with a version 1 cgroup: %v, not EBADF", err)
	}
}

// In version 2 one thread alone cannot move to a cgroup that counts resources of its own: cgroup-v2.rst, "Threads".
func testThreadsV2(t *testing.T) {
	t.Helper()
	box := makeCgroup(t, "/sys/fs/cgroup", ".box")
	if err := enter(box, "cgroup.threads"); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("a thread into cgroup.threads of another domain: %v, not EOPNOTSUPP", err)
	}
}
