package scripts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/go-docker/scripts/internal/box"
	"example.com/go-docker/scripts/internal/ours"
	"golang.org/x/sys/unix"
)

const records = "/run/go-docker"

// shells are those that readers have: dash (or bash) with coreutils, and
// busybox with nothing but itself. In an emulated guest one is enough: what
// differs there is the kernel.
func shells(t *testing.T) map[string]shell {
	t.Helper()
	found := map[string]shell{}
	for _, name := range []string{"dash", "bash"} {
		if path, err := exec.LookPath(name); err == nil {
			found[name] = shell{path, os.Getenv("PATH")}
			break
		}
	}
	if path, err := exec.LookPath("busybox"); err == nil && (len(found) == 0 || os.Getenv("GO_DOCKER_VM") == "") {
		dir := t.TempDir()
		if out, err := exec.Command(path, "--install", "-s", dir).CombinedOutput(); err != nil {
			t.Fatalf("busybox --install: %v\n%s", err, out)
		}
		// Debian's busybox is built without flock.
		if _, err := os.Stat(dir + "/flock"); err != nil {
			if flock, err := exec.LookPath("flock"); err == nil {
				must(t, os.Symlink(flock, dir+"/flock"))
			}
		}
		found["busybox"] = shell{dir + "/ash", dir}
	}
	if len(found) == 0 {
		t.Fatal("none of dash, bash, busybox is installed")
	}
	return found
}

type shell struct{ program, path string }

func (s shell) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	cmd.Env = append(os.Environ(), "PATH="+s.path)
	return cmd
}

func (s shell) cleanup(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	cmd := s.command(append([]string{"./cleanup.sh"}, args...)...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	t.Logf("cleanup.sh %s\n%s", strings.Join(args, " "), b)
	return withoutForeign(string(b)), cmd.ProcessState.ExitCode()
}

// cleanupBetween does something between cleanup.sh's two looks. Its sleep stops for as long as that takes, and the second
// look waits for it.
func (s shell) cleanupBetween(t *testing.T, meanwhile func()) (out string, status int) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, status = s.cleanup(t)
	}()
	pause := 0
	waitFor(t, func() bool {
		processes, err := ours.Descendants()
		i := slices.IndexFunc(processes, func(p ours.Process) bool { return p.Command == "sleep 3" && !p.Zombie })
		if err != nil || i < 0 {
			return false
		}
		pause = processes[i].PID
		return unix.Kill(pause, unix.SIGSTOP) == nil
	})
	defer func() { _ = unix.Kill(pause, unix.SIGCONT); <-done }()
	meanwhile()
	return
}

// Named v1 hierarchies are the machine's, even in the box: somebody else's dead
// step may turn up in the output.
func withoutForeign(out string) string {
	kept := ""
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "hierarchy name=") || strings.Contains(line, ownHierarchy) {
			kept += line
		}
	}
	if kept == "" {
		return "nothing to clean up\n"
	}
	return kept
}

var ownHierarchy = "none"

// eachShell runs the test in a box, once for every shell.
func eachShell(t *testing.T, test func(t *testing.T, s shell)) {
	t.Helper()
	if !box.Enter(t) {
		return
	}
	for name, s := range shells(t) {
		t.Run(name, func(t *testing.T) {
			must(t, os.MkdirAll(records, 0o700))
			test(t, s)
			if out, status := s.cleanup(t); status != 0 || out != "nothing to clean up\n" {
				t.Errorf("once more: status %d, %q", status, out)
			}
		})
	}
}

func TestCleanupNothing(t *testing.T) {
	eachShell(t, func(*testing.T, shell) {})
}

// A container whose parent was killed: processes, nested cgroups in every
// hierarchy, one of them frozen, temporary files, a mount, the record.
func TestCleanupDeadContainer(t *testing.T) {
	eachShell(t, func(t *testing.T, s shell) {
		const id = "00aa11bb22cc"
		var want []string
		var processes []*process
		for _, h := range box.Hierarchies(t) {
			outer, inner := h+"/go-docker-"+id, h+"/go-docker-"+id+"/a b/deep"
			must(t, os.MkdirAll(inner, 0o755))
			want = append(want, "removed cgroup "+outer)
			processes = append(processes, start(t, outer), start(t, inner), start(t, inner))
		}
		processes = append(processes, freeze(t, id)...)
		parent := box.Hierarchies(t)[0] + "/lab" // as --cgroup-parent makes it: it stays
		must(t, os.MkdirAll(parent+"/go-docker-"+id, 0o755))
		defer func() { must(t, os.Remove(parent)) }()
		writeRecord(t, id)
		must(t, os.MkdirAll("/tmp/go-docker-"+id+"-root/x y", 0o755))
		must(t, unix.Mount("leftover", "/tmp/go-docker-"+id+"-root/x y", "tmpfs", 0, ""))
		must(t, os.WriteFile("/tmp/go-docker-"+id+".log", nil, 0o600))
		want = append(want, "removed record "+records+"/"+id+".json", "removed cgroup "+parent+"/go-docker-"+id,
			"unmounted /tmp/go-docker-"+id+"-root/x y", "removed /tmp/go-docker-"+id+"-root", "removed /tmp/go-docker-"+id+".log")

		out, status := s.cleanup(t, "--dry-run")
		if status != 0 || !strings.Contains(out, "would remove record") || strings.Contains(out, "removed") {
			t.Errorf("dry run: status %d", status)
		}
		alive(t, processes...)
		exists(t, records+"/"+id+".json", "/tmp/go-docker-"+id+".log", parent)

		out, status = s.cleanup(t)
		if status != 0 {
			t.Errorf("status %d", status)
		}
		for _, line := range want {
			if !slices.Contains(strings.Split(out, "\n"), line) {
				t.Errorf("no line %q", line)
			}
		}
		killed(t, processes...)
		gone(t, "/tmp/thawed", records+"/"+id+".json", "/tmp/go-docker-"+id+".log", "/tmp/go-docker-"+id+"-root", records)
		exists(t, parent)
		noCgroups(t, "go-docker-"+id)
	})
}

// freeze puts a shell into the v1 freezer's cgroup and freezes it. The shell has
// a SIGTERM pending, and would leave a file if it ever ran again. (It must not
// fork: the v1 freezer cannot freeze a process that waits in vfork(2).)
func freeze(t *testing.T, id string) []*process {
	for _, h := range box.Hierarchies(t, "cgroup") {
		cgroup := h + "/go-docker-" + id
		if _, err := os.Stat(cgroup + "/freezer.state"); err != nil {
			continue
		}
		cmd := exec.Command("sh", "-c", "trap 'echo ran >/tmp/thawed' TERM; echo ready; read never")
		stdin, err := cmd.StdinPipe()
		must(t, err)
		t.Cleanup(func() { _ = stdin.Close() })
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		_, err = io.ReadFull(stdout, make([]byte, len("ready\n")))
		must(t, err)
		p := watch(t, cmd)
		t.Cleanup(func() { _ = os.WriteFile(cgroup+"/freezer.state", []byte("THAWED"), 0) })
		enter(t, p, cgroup)
		must(t, os.WriteFile(cgroup+"/freezer.state", []byte("FROZEN"), 0))
		waitFor(t, func() bool {
			b, _ := os.ReadFile(cgroup + "/freezer.state")
			return string(b) == "FROZEN\n"
		})
		must(t, cmd.Process.Signal(unix.SIGTERM))
		return []*process{p}
	}
	return nil
}

// A living container has its record locked, and must not notice anything.
// Nor must what is not ours, however close its name.
func TestCleanupTouchesNothingElse(t *testing.T) {
	eachShell(t, func(t *testing.T, s shell) {
		const id = "0123456789ab"
		writeRecord(t, id)
		lock(t, id)
		names := []string{"go-docker-" + id, "go-docker-notours", "docker-0123456789ab", "docker-xyz", "go-docker-0123456789a",
			"go-docker-0123456789abc", "go-docker-0123456789AB", "go-docker-", "go-docker-step.x", "xgo-docker-0123456789ab",
			"go-docker-step." + strconv.Itoa(os.Getpid()) + "x"}
		var keep []string
		var processes []*process
		for _, name := range names {
			for _, h := range box.Hierarchies(t) {
				must(t, os.MkdirAll(h+"/"+name+"/child", 0o755))
				processes = append(processes, start(t, h+"/"+name+"/child"))
				keep = append(keep, h+"/"+name+"/child")
			}
		}
		for _, name := range []string{"go-docker-" + id + ".log", "go-docker-notours", "go-docker-step.log", "xgo-docker-ffffffffffff", "go-docker-FFFFFFFFFFFF"} {
			must(t, os.WriteFile("/tmp/"+name, nil, 0o600))
			keep = append(keep, "/tmp/"+name)
		}
		must(t, os.WriteFile(records+"/notes.json", []byte("{}"), 0o600))
		keep = append(keep, records+"/notes.json", records+"/"+id+".json")

		for _, args := range [][]string{{"--dry-run"}, {}} {
			if out, status := s.cleanup(t, args...); status != 0 || out != "nothing to clean up\n" {
				t.Errorf("%s: status %d, %q", args, status, out)
			}
		}
		exists(t, keep...)
		alive(t, processes...)
	})
}

// Containers come and go while cleanup.sh runs again and again, and none of
// them notices.
func TestCleanupWhileContainersStart(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	must(t, os.MkdirAll(records, 0o700))
	stop := make(chan struct{})
	var lives sync.WaitGroup
	var count atomic.Int64
	for worker := range 2 {
		lives.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := live(t, fmt.Sprintf("%04x%08x", worker, n)); err != nil {
					t.Error(err)
					return
				}
				count.Add(1)
				time.Sleep(20 * time.Millisecond) // cleanup.sh wants the processor, too
			}
		})
	}
	// Thirty of them; on a busy machine as many as come in half a minute, but ten at least.
	for began := time.Now(); count.Load() < 30 && (count.Load() < 10 || time.Since(began) < 30*time.Second) && time.Since(began) < 5*time.Minute && !t.Failed(); {
		for name, s := range shells(t) {
			if out, status := s.cleanup(t); status != 0 || out != "nothing to clean up\n" {
				t.Errorf("%s: status %d, %q", name, status, out)
			}
		}
	}
	close(stop)
	lives.Wait()
	t.Logf("%d containers", count.Load())
	if count.Load() < 10 {
		t.Error("too few to prove anything")
	}
}

// live is a container's life: the record first and last.
func live(t *testing.T, id string) error {
	path := filepath.Join(records, id+".json")
	record, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer record.Close()
	if err := unix.Flock(int(record.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	var dirs []string
	for _, h := range box.Hierarchies(t) {
		dirs = append(dirs, h+"/go-docker-"+id)
	}
	if _, err := fmt.Fprintf(record, `{"id": "%s", "pid": 1, "cgroups": ["%s"]}`, id, strings.Join(dirs, `", "`)); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	temp := "/tmp/go-docker-" + id
	if err := os.Mkdir(temp, 0o700); err != nil {
		return err
	}
	time.Sleep(5 * time.Millisecond)
	cmd := exec.Command("sleep", "0.02")
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(dirs[0]+"/cgroup.procs", []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
		return errors.Join(err, cmd.Wait())
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the container's process: %w", err)
	}
	if err := os.Remove(temp); err != nil {
		return err
	}
	for _, dir := range dirs {
		for err := os.Remove(dir); err != nil; err = os.Remove(dir) {
			if !errors.Is(err, unix.EBUSY) {
				return err
			}
			time.Sleep(time.Millisecond)
		}
	}
	return os.Remove(path)
}

// Without a record: an empty cgroup goes after a while, one with a process in
// it stays, and so does one that gets its record or a process meanwhile.
func TestCleanupWithoutRecord(t *testing.T) {
	eachShell(t, func(t *testing.T, s shell) {
		h := box.Hierarchies(t)[0]
		const empty, busy, late, born, file = "00000000000e", "00000000000b", "00000000001a", "00000000000a", "00000000000f"
		const demo, killed = "00000000000d", "00000000001d" // of day 3, which makes an image before there is a record
		for _, id := range []string{empty, busy, late, born} {
			must(t, os.Mkdir(h+"/go-docker-"+id, 0o755))
		}
		var second *process
		first := start(t, h+"/go-docker-"+busy)
		must(t, os.WriteFile("/tmp/go-docker-"+file+"123", nil, 0o600))
		must(t, os.WriteFile("/tmp/go-docker-"+busy, nil, 0o600))
		must(t, os.MkdirAll("/tmp/go-docker-"+killed+"/store", 0o700))
		must(t, os.MkdirAll("/tmp/go-docker-"+demo+"/store", 0o700))
		job, err := os.Open("/tmp/go-docker-" + demo)
		must(t, err)
		must(t, unix.Flock(int(job.Fd()), unix.LOCK_EX))
		began := time.Now()
		out, status := s.cleanupBetween(t, func() { // the first look has taken these two for leftovers
			writeRecord(t, born)
			lock(t, born)
			second = start(t, h+"/go-docker-"+late)
		})
		if status != 0 || !strings.Contains(out, "kept go-docker-"+busy) {
			t.Errorf("status %d", status)
		}
		if took := time.Since(began); took < 3*time.Second {
			t.Errorf("the second look came after %v, want 3 seconds at least", took)
		}
		gone(t, h+"/go-docker-"+empty, "/tmp/go-docker-"+file+"123", "/tmp/go-docker-"+killed)
		exists(t, h+"/go-docker-"+busy, h+"/go-docker-"+late, h+"/go-docker-"+born, "/tmp/go-docker-"+busy, "/tmp/go-docker-"+demo+"/store")
		alive(t, first, second)

		// so that "once more" finds nothing
		first.end()
		second.end()
		for _, id := range []string{busy, late, born} {
			waitFor(t, func() bool { return os.Remove(h+"/go-docker-"+id) == nil })
		}
		must(t, os.Remove("/tmp/go-docker-"+busy))
		must(t, job.Close())
		must(t, os.RemoveAll("/tmp/go-docker-"+demo))
	})
}

// Between open(2) and flock(2) of a starting parent, the record is empty.
func TestCleanupRecordBeingBorn(t *testing.T) {
	eachShell(t, func(t *testing.T, s shell) {
		const born, dead = "0000000000aa", "0000000000dd"
		must(t, os.WriteFile(records+"/"+born+".json", nil, 0o600))
		must(t, os.WriteFile(records+"/"+dead+".json", nil, 0o600))
		if _, status := s.cleanupBetween(t, func() { lock(t, born) }); status != 0 {
			t.Errorf("status %d", status)
		}
		exists(t, records+"/"+born+".json")
		gone(t, records+"/"+dead+".json")
	})
}

// The shell of a step is named by its PID, which may be somebody else's today.
func TestCleanupSteps(t *testing.T) {
	eachShell(t, func(t *testing.T, s shell) {
		h := box.Hierarchies(t)[0]
		dead := exec.Command("true")
		must(t, dead.Run())
		reused := start(t, "", "sleep", "300")
		running := start(t, "", "sh", "-c", "while :; do sleep 1; done")

		things := func(pid int) []string {
			return []string{fmt.Sprintf("%s/go-docker-step.%d/nested", h, pid), fmt.Sprintf("/tmp/go-docker-step.%d.AbCdEf", pid)}
		}
		var inside []*process
		for _, pid := range []int{dead.Process.Pid, reused.Process.Pid, running.Process.Pid} {
			for _, dir := range things(pid) {
				must(t, os.MkdirAll(dir, 0o755))
			}
			inside = append(inside, start(t, things(pid)[0]))
			must(t, unix.Mount("leftover", things(pid)[1], "tmpfs", 0, ""))
			must(t, os.Mkdir(things(pid)[1]+"/m", 0o755))
			must(t, unix.Mount("leftover", things(pid)[1]+"/m", "tmpfs", 0, ""))
		}
		busy, err := os.Open(things(dead.Process.Pid)[1] + "/m") // umount says EBUSY
		must(t, err)
		defer busy.Close()

		if _, status := s.cleanup(t); status != 0 {
			t.Errorf("status %d", status)
		}
		for i, pid := range []int{dead.Process.Pid, reused.Process.Pid} {
			gone(t, things(pid)...)
			killed(t, inside[i])
		}
		alive(t, reused) // the PID's new owner has done nothing
		alive(t, running)
		alive(t, inside[2])
		exists(t, things(running.Process.Pid)...)
		running.end()
		if _, status := s.cleanup(t); status != 0 {
			t.Errorf("status %d", status)
		}
		gone(t, things(running.Process.Pid)...)
		killed(t, inside[2])
	})
}

// A named v1 hierarchy lives on without a mount while it has cgroups, and even
// with none, if the last was removed just before the last unmount.
func TestCleanupHierarchy(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	if len(box.Hierarchies(t, "cgroup")) == 0 {
		t.Skip("no cgroup v1 on this machine")
	}
	for name, s := range shells(t) {
		t.Run(name, func(t *testing.T) {
			dead := exec.Command("true")
			must(t, dead.Run())
			hierarchy := fmt.Sprintf("go-docker-step.%d", dead.Process.Pid)
			ownHierarchy = hierarchy
			dir := t.TempDir()
			must(t, unix.Mount("x", dir, "cgroup", 0, "none,name="+hierarchy))
			must(t, os.MkdirAll(dir+"/cgroup1/nested", 0o755))
			inside := start(t, dir+"/cgroup1/nested")
			must(t, unix.Unmount(dir, 0))
			if !hasHierarchy(hierarchy) {
				t.Fatal("the hierarchy has ended by itself: nothing to test")
			}
			out, status := s.cleanup(t, "--dry-run")
			if status != 0 || !strings.Contains(out, "would remove hierarchy name="+hierarchy) {
				t.Errorf("dry run: status %d", status)
			}
			alive(t, inside)
			out, status = s.cleanup(t)
			if status != 0 || !strings.Contains(out, "removed hierarchy name="+hierarchy) || hasHierarchy(hierarchy) {
				t.Errorf("status %d, alive: %v", status, hasHierarchy(hierarchy))
			}
			killed(t, inside)
		})
	}
}

// The cgroup of the shell that types "cleanup.sh" is stale as well, but
// killing it would be a surprise.
func TestCleanupSparesItself(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	must(t, os.MkdirAll(records, 0o700))
	for name, s := range shells(t) {
		t.Run(name, func(t *testing.T) {
			const id = "00000000005e"
			dir := box.Hierarchies(t)[0] + "/go-docker-" + id
			must(t, os.Mkdir(dir, 0o755))
			writeRecord(t, id)
			out, err := s.command("-c", "echo $$ >"+dir+"/cgroup.procs; sh ./cleanup.sh; echo status $?").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "status 1") || !strings.Contains(string(out), "leave it first") {
				t.Errorf("%v: %s", err, out)
			}
			exists(t, dir, records+"/"+id+".json")
			waitFor(t, func() bool { return os.Remove(dir) == nil })
			must(t, os.Remove(records+"/"+id+".json"))
		})
	}
}

// Containers of day 5 whose shims were killed, and the resolver with them: the
// machine's network is as it was. While one lives, nothing is touched.
func TestNetworksOfTheDead(t *testing.T) {
	const built = "GO_DOCKER_TEST_DAY5"
	if os.Getenv(built) == "" {
		box.NeedRoot(t)
		// Out here: this repository may be below /tmp, of which the box has one of its own.
		program := filepath.Join(t.TempDir(), "day5")
		if out, err := exec.Command("go", "build", "-o", program, "../day5-networks").CombinedOutput(); err != nil {
			t.Fatalf("go build: %v: %s", err, out)
		}
		t.Setenv(built, fmt.Sprintf("/proc/%d/root%s", os.Getpid(), program))
	}
	if !box.Enter(t) {
		return
	}
	for _, kind := range []string{"usual", "another"} { // where the store is decides about names
		store := t.TempDir()
		if kind == "usual" {
			usual := "/var/lib/go-docker"
			must(t, os.MkdirAll(usual, 0o700))
			must(t, unix.Mount(store, usual, "", unix.MS_BIND, "")) // in the box
			store = usual
		}
		t.Setenv("GO_DOCKER_ROOT", store)
		t.Run(kind, func(t *testing.T) { networksOfTheDead(t, store, os.Getenv(built)) })
	}
}

func networksOfTheDead(t *testing.T, store, built string) {
	dir := t.TempDir()
	program := filepath.Join(dir, "day5")
	sh := func(script string) string {
		t.Helper()
		out, err := exec.Command("sh", "-ec", script).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", script, err, out)
		}
		return string(out)
	}
	sh("cp " + built + " " + program)
	sh("cd " + dir + "; mkdir -p root/bin; cp $(command -v busybox) root/bin/sleep; tar -C root -cf image.tar .; " + program + " import image.tar box")
	machine := func() string {
		return sh("ip -br link; nft list ruleset | sed 's/counter packets.*bytes [0-9]*/counter/'; cat /proc/sys/net/ipv4/ip_forward; cd " + store + "/networks && find . -path '*/endpoints/*' -o -name 'changed*'")
	}
	sh("ip link set lo up; iptables -P FORWARD DROP; iptables -P INPUT DROP; echo 0 >/proc/sys/net/ipv4/ip_forward; " + program + " network create other")
	before := machine()
	run := func(name, network string) string {
		return strings.TrimSpace(sh(program + " run -d --name " + name + " -p 80 --network " + network + " box sleep 1000 2>" + dir + "/notes"))
	}
	one, two := run("one", "bridge"), run("two", "other")
	t.Cleanup(func() { sh(program + " rm -f one two") })
	kill := func(what string) {
		killed := false
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range files {
			text, _ := os.ReadFile(file)
			if strings.Contains(strings.ReplaceAll(string(text), "\x00", " "), what) {
				pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				must(t, err)
				must(t, unix.Kill(pid, unix.SIGKILL))
				waitFor(t, func() bool { // until then it has its locks
					stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
					return err != nil || strings.Contains(string(stat), ") Z ")
				})
				killed = true
			}
		}
		if !killed {
			t.Fatalf("nothing to kill: %s", what)
		}
	}
	s := shell{"sh", os.Getenv("PATH")}
	kill(" shim " + store + "/containers/" + one)
	if out, status := s.cleanup(t); status != 0 || !strings.Contains(out, "kept "+store+"/networks/") {
		t.Errorf("while one lives: status %d, %s", status, out)
	}
	if now := machine(); strings.Count(now, "gdv") < 2 || !strings.Contains(now, "table inet go-docker") || !strings.Contains(now, two) {
		t.Errorf("one lives, and there is only\n%s", now)
	}
	kill(" resolver " + store) // first: without a container it soon ends by itself
	kill(" shim " + store + "/containers/" + two)
	if out, status := s.cleanup(t); status != 0 {
		t.Errorf("status %d, %s", status, out)
	}
	if after := machine(); after != before {
		t.Errorf("the machine was\n%s\nand is\n%s", before, after)
	}
	// What no store knows.
	sh("ip link add gd-0123456789ab type bridge; ip link add go-d-01234567 type bridge; ip link add gd-mine type bridge; nft add table inet go-docker-01234567; nft add table inet mine")
	if out, status := s.cleanup(t, "--dry-run"); status != 0 || strings.Count(out, "would remove link") != 2 {
		t.Errorf("status %d, %s", status, out)
	}
	if out, status := s.cleanup(t); status != 0 || !strings.Contains(out, "removed link gd-0123456789ab") || !strings.Contains(out, "removed link go-d-01234567") || !strings.Contains(out, "deleted nft table inet go-docker-01234567") {
		t.Errorf("status %d, %s", status, out)
	}
	sh("ip link del gd-mine; nft delete table inet mine")
	if after := machine(); after != before {
		t.Errorf("the machine was\n%s\nand is\n%s", before, after)
	}
}

func TestCleanupUsageAndPlainUser(t *testing.T) {
	if !box.Enter(t) {
		return
	}
	for name, s := range shells(t) {
		t.Run(name, func(t *testing.T) {
			if out, status := s.cleanup(t, "--nonsense"); status != 125 || strings.Count(out, "\n") != 1 {
				t.Errorf("bad option: status %d", status)
			}
			asNobody := func() (string, int) {
				cmd := exec.Command("sh")
				script, err := os.Open("cleanup.sh")
				must(t, err)
				defer script.Close()
				cmd.Stdin, cmd.Dir = script, "/" // nobody may not be able to come here
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
				out, _ := cmd.CombinedOutput()
				return string(out), cmd.ProcessState.ExitCode()
			}
			must(t, os.RemoveAll(records))
			for try := 0; ; try++ { // somebody else's dead step, again
				out, status := asNobody()
				if status == 0 && out == "nothing to clean up\n" {
					break
				}
				if try == 10 {
					t.Errorf("nothing there: status %d, %q", status, out)
					break
				}
				time.Sleep(time.Second)
			}
			file := "/tmp/go-docker-0123456789ab.x"
			must(t, os.WriteFile(file, nil, 0o600))
			if out, status := asNobody(); status != 125 || strings.Count(out, "\n") != 1 || !strings.Contains(out, "sudo") {
				t.Errorf("something there: status %d, %q", status, out)
			}
			exists(t, file)
			must(t, os.Remove(file))
			must(t, os.MkdirAll(records, 0o700))
			if _, status := asNobody(); status != 125 {
				t.Errorf("records that cannot be read: status %d", status)
			}
		})
	}
}

// --- helpers

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for range 3000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not happen within 30 seconds")
}

// A process is one that we wait for in the background: a zombie would keep its
// cgroup alive.
type process struct {
	*exec.Cmd
	ended chan struct{}
}

func watch(t *testing.T, cmd *exec.Cmd) *process {
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.end)
	return p
}

func (p *process) end() {
	_ = p.Process.Kill()
	<-p.ended
}

// start runs a command in a cgroup, or where we are, until the test ends.
func start(t *testing.T, cgroup string, args ...string) *process {
	t.Helper()
	if len(args) == 0 {
		args = []string{"sleep", "300"}
	}
	cmd := exec.Command(args[0], args[1:]...)
	must(t, cmd.Start())
	p := watch(t, cmd)
	if cgroup != "" {
		enter(t, p, cgroup)
	}
	return p
}

func enter(t *testing.T, p *process, cgroup string) {
	t.Helper()
	must(t, os.WriteFile(cgroup+"/cgroup.procs", []byte(strconv.Itoa(p.Process.Pid)), 0))
}

func alive(t *testing.T, processes ...*process) {
	t.Helper()
	for _, p := range processes {
		select {
		case <-p.ended:
			t.Errorf("%s (%d) was killed", p, p.Process.Pid)
		default:
		}
	}
}

func killed(t *testing.T, processes ...*process) {
	t.Helper()
	for _, p := range processes {
		select {
		case <-p.ended:
		case <-time.After(30 * time.Second):
			t.Errorf("%s (%d) is still alive", p, p.Process.Pid)
		}
	}
}

func exists(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

func gone(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

func noCgroups(t *testing.T, name string) {
	t.Helper()
	for _, h := range box.Hierarchies(t) {
		gone(t, filepath.Join(h, name))
	}
}

// writeRecord writes what the day 2 program writes.
func writeRecord(t *testing.T, id string) {
	t.Helper()
	must(t, os.MkdirAll(records, 0o700))
	var cgroups []string
	for _, h := range box.Hierarchies(t) {
		cgroups = append(cgroups, filepath.Join(h, "go-docker-"+id))
	}
	record, err := json.Marshal(map[string]any{"id": id, "pid": 1, "cgroups": cgroups})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(records, id+".json"), record, 0o600))
}

// lock makes us the living owner of a record, until the test ends.
func lock(t *testing.T, id string) {
	t.Helper()
	path := filepath.Join(records, id+".json")
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	must(t, unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	t.Cleanup(func() {
		_ = file.Close()
		_ = os.Remove(path)
	})
}

func hasHierarchy(name string) bool {
	b, _ := os.ReadFile("/proc/self/cgroup")
	return strings.Contains(string(b), ":name="+name+":")
}
