package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A place is what the checker prepares for one run of the learner's program.
type place struct {
	Exercise string            // as in "day2-cgroups/03-break"
	Work     string            // the learner's directory
	File     string            // the one that was changed
	Program  string            // what to run: the file itself, or what was built of it
	Top      string            // our directory: a tmpfs, for the sandbox only
	Version  int               // of cgroups, where the memory controller is: 1 or 2
	Cgroups  map[string]string // our cgroup for each of memory, cpu, pids
}

// check runs the learner's program in a sandbox and returns what was seen. The
// sandbox has mount, UTS, IPC, network and PID namespaces of its own. To the
// learner's program they are the host's, and whatever happens to them ends with
// the checker. Cgroups do not end by themselves, so they are made and removed here.
func check(e *exercise, work string) (r *report, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root may make cgroups and mounts: sudo env \"PATH=$PATH\" go run ./scripts/check")
	}
	signals := make(chan os.Signal, 1) // ^C must not keep us from removing things
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	p := &place{
		Exercise: filepath.Base(filepath.Dir(filepath.Dir(e.dir))) + "/" + filepath.Base(e.dir),
		Work:     work,
		File:     filepath.Join(work, e.file),
	}
	// Named like those of the steps, so that scripts/cleanup.sh removes it if we are killed.
	name := fmt.Sprintf("go-docker-step.%d", os.Getpid())
	if p.Top, err = os.MkdirTemp("", name+"."); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.Top)) }()
	if p.Program, err = build(e, work, p.Top); err != nil {
		var cannot *exec.ExitError
		if errors.As(err, &cannot) {
			return &report{Findings: []finding{{What: "it compiles", Found: "it does not", Wanted: "no complaints", Look: "the lines above"}}}, nil
		}
		return nil, err
	}
	if err := p.makeCgroups(name); err != nil {
		return nil, errors.Join(err, p.removeCgroups())
	}
	defer func() { err = errors.Join(err, p.removeCgroups()) }()

	input, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var output bytes.Buffer
	cmd := exec.Command("/proc/self/exe", "sandbox")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &output, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Setsid:     true, // ^C is for us
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("make the sandbox: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case sig := <-signals:
		_ = cmd.Process.Kill() // the PID namespace goes with its first process
		<-ended
		return nil, fmt.Errorf("ended by signal: %v", sig)
	case <-time.After(3 * time.Minute):
		_ = cmd.Process.Kill()
		<-ended
		return nil, errors.New("no end after 3 minutes")
	}
	if err != nil {
		return nil, fmt.Errorf("in the sandbox: %w", err)
	}
	r = new(report)
	return r, json.Unmarshal(output.Bytes(), r)
}

// build returns what to run for the exercise's file. EXERCISES_BIN is for
// machines without Go, such as the guests of scripts/vm: programs made
// beforehand, named like day2-04-start.
func build(e *exercise, work, top string) (string, error) {
	file := filepath.Join(work, e.file)
	if e.file != "main.go" {
		_, err := os.Stat(file)
		return file, err
	}
	if bin := os.Getenv("EXERCISES_BIN"); bin != "" {
		return filepath.Join(bin, fmt.Sprintf("day%d-%02d-%s", e.day, e.number, filepath.Base(work))), nil
	}
	program := filepath.Join(top, "main")
	cmd := exec.Command("go", "build", "-o", program, file)
	cmd.Dir = e.root                                // where the modules are known
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // it may have to run where there is no libc
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return program, cmd.Run()
}

// makeCgroups makes a cgroup for each controller that the exercises use. On v2
// and on some v1 machines several controllers share one.
func (p *place) makeCgroups(name string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return err
	}
	p.Cgroups = map[string]string{}
	for _, controller := range []string{"memory", "cpu", "pids"} {
		for _, m := range mounts {
			version := 2
			if m.FSType == "cgroup" {
				version = 1
			}
			if !hasController(m, controller) || p.Cgroups[controller] != "" {
				continue
			}
			dir := filepath.Join(m.Mountpoint, name)
			if version == 2 {
				// A child has a controller's files only if its parent hands the controller on.
				if err := enable(m.Mountpoint, controller); err != nil {
					return err
				}
			}
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			p.Cgroups[controller] = dir
			if version == 2 {
				if err := enable(dir, controller); err != nil {
					return err
				}
			}
			if controller == "memory" {
				p.Version = version
			}
		}
		if p.Cgroups[controller] == "" {
			return fmt.Errorf("no cgroup hierarchy has the %s controller: scripts/doctor.sh says why", controller)
		}
	}
	return nil
}

func hasController(m *mountinfo.Info, controller string) bool {
	if m.FSType == "cgroup" {
		return strings.Contains(","+m.VFSOptions+",", ","+controller+",")
	}
	text, err := os.ReadFile(filepath.Join(m.Mountpoint, "cgroup.controllers"))
	return err == nil && strings.Contains(" "+strings.TrimSpace(string(text))+" ", " "+controller+" ")
}

func enable(dir, controller string) error {
	file := filepath.Join(dir, "cgroup.subtree_control")
	if err := os.WriteFile(file, []byte("+"+controller), 0); err != nil {
		return fmt.Errorf("hand the %s controller on: %w", controller, err)
	}
	return nil
}

// removeCgroups ends whatever is left in them. All of it came out of the
// sandbox, which is gone.
func (p *place) removeCgroups() error {
	var errs []error
	for _, dir := range p.Cgroups {
		err := removeCgroup(dir)
		for end := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond) // the dead leave a moment later
			err = removeCgroup(dir)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // two controllers, one cgroup
	}
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		err = os.Remove(dirs[i]) // deepest first: only rmdir(2) removes a cgroup
	}
	return err
}

// internal runs this program in its other roles: the first process of the sandbox,
// and the hog of day 2.
func internal(args []string) (status int, is bool) {
	switch {
	case filepath.Base(args[0]) == "hog":
		return hog(args[1:]), true
	case len(args) == 2 && args[1] == "sandbox":
		if err := sandbox(); err != nil {
			fmt.Fprintln(os.Stderr, "check:", err)
			return exitCannot, true
		}
		return 0, true
	}
	return 0, false
}

// sandbox looks at the learner's program and writes a report.
func sandbox() error {
	p := new(place)
	if err := json.NewDecoder(os.Stdin).Decode(p); err != nil {
		return fmt.Errorf("read what to check: %w", err)
	}
	if err := p.furnish(); err != nil {
		return err
	}
	b := newBench(p)
	if err := b.run(checks[p.Exercise]); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(b.report)
}

// furnish makes the mounts. From then on the tree is shared, as systemd leaves
// it on real machines (mount_namespaces(7)): a mount that the learner's program
// does not keep to itself then shows here.
func (p *place) furnish() error {
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"none", "/", "", unix.MS_REC | unix.MS_PRIVATE}, // from the real machine
		{"proc", "/proc", "proc", 0},                     // a new PID namespace
		{"tmpfs", filepath.Join(p.Top, "sandbox"), "tmpfs", 0},
		{"proc", filepath.Join(p.Top, "sandbox", "proc"), "proc", 0}, // ours: /proc may be mounted over
		{"none", "/", "", unix.MS_REC | unix.MS_SHARED},
	} {
		if m.source != "none" {
			if err := os.MkdirAll(m.target, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p.Top = filepath.Join(p.Top, "sandbox")
	for _, err := range []error{
		unix.Sethostname([]byte("vm")),
		os.Mkdir(p.dir(), 0o755),
		os.Symlink(self, p.hog()),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *place) dir() string { return filepath.Join(p.Top, "dir") }
func (p *place) hog() string { return filepath.Join(p.Top, "hog") }

// environment is that of the learner's program.
func (p *place) environment() []string {
	return append(os.Environ(),
		"VERSION="+strconv.Itoa(p.Version),
		"MEMORY="+p.Cgroups["memory"], "CPU="+p.Cgroups["cpu"], "PIDS="+p.Cgroups["pids"],
		"HOG="+p.hog())
}

// hog MIB [untouched|end|spin] takes memory and keeps it. With "untouched" it asks
// for it and never writes: address space, but not one page. With "end" it then ends
// at once, with "spin" it also keeps a processor busy.
//
//go:norace
func hog(args []string) int {
	how := ""
	if len(args) == 2 {
		how = args[1]
	}
	mib, err := strconv.Atoi(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "usage: hog MIB [untouched|end|spin]")
		return exitCannot
	}
	memory, err := unix.Mmap(-1, 0, mib<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		fmt.Fprintf(os.Stderr, "hog: %d MiB: %v\n", mib, err)
		return 1
	}
	if how == "untouched" {
		return 0
	}
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	if how == "end" {
		return 0
	}
	if how == "spin" {
		_ = os.WriteFile("/proc/self/comm", []byte("spin-hog"), 0)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		}
		return 0
	}
	// comm(5) is how the checker sees that all of it is there.
	_ = os.WriteFile("/proc/self/comm", []byte("fed-hog"), 0)
	time.Sleep(time.Minute)
	return 0
}
