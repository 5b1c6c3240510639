package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A report is what the check of one exercise has found.
type report struct {
	Output   string // of the learner's program
	Findings []finding
}

type finding struct {
	What          string
	OK            bool
	Found, Wanted string
	Look          string // where to look when it is not OK
}

func (r *report) passed() bool {
	for _, f := range r.Findings {
		if !f.OK {
			return false
		}
	}
	return len(r.Findings) > 0
}

func (r *report) print(w io.Writer) {
	if r.Output != "" {
		fmt.Fprintf(w, "  | %s\n", strings.ReplaceAll(strings.TrimSuffix(r.Output, "\n"), "\n", "\n  | "))
	}
	look := ""
	for _, f := range r.Findings {
		if f.OK {
			fmt.Fprintf(w, "ok    %s: %s\n", f.What, f.Found)
			continue
		}
		fmt.Fprintf(w, "FAIL  %s\n      found   %s\n      wanted  %s\n", f.What, f.Found, f.Wanted)
		if f.Look != look { // once is enough
			fmt.Fprintf(w, "      look    %s\n", f.Look)
		}
		look = f.Look
	}
	if r.passed() {
		fmt.Fprintln(w, "passed")
	} else {
		fmt.Fprintln(w, "not yet")
	}
}

// A bench is the checker's side of one run, inside the sandbox.
type bench struct {
	*place
	report *report
	output *os.File
	script *exec.Cmd
	ended  chan struct{} // closed when the learner's program has ended
}

func newBench(p *place) *bench { return &bench{place: p, report: new(report)} }

// A mess is an error of ours: the check stops, and says nothing about the
// learner's work.
type mess struct{ err error }

// run runs one check. A failure that is not the learner's arrives as a panic with
// a mess, so that the checks can be written straight down.
func (b *bench) run(look func(*bench)) (err error) {
	defer func() {
		if m, is := recover().(mess); is {
			err = m.err
		}
		if b.output != nil {
			text, _ := os.ReadFile(b.output.Name())
			b.report.Output = string(text)
		}
	}()
	look(b)
	return nil
}

func must[T any](value T, err error) T {
	do(err)
	return value
}

func do(err error) {
	if err != nil {
		panic(mess{err})
	}
}

// want notes one finding.
func (b *bench) want(what string, ok bool, found, wanted any, look string) bool {
	b.report.Findings = append(b.report.Findings, finding{what, ok, fmt.Sprint(found), fmt.Sprint(wanted), look})
	return ok
}

func (b *bench) equal(what string, found, wanted any, look string) bool {
	return b.want(what, found == wanted, found, wanted, look)
}

// launch starts the learner's program in an empty directory.
func (b *bench) launch(extra ...string) {
	b.output = must(os.Create(filepath.Join(b.Top, "output")))
	b.script = exec.Command(b.Program)
	if strings.HasSuffix(b.Program, ".sh") {
		b.script = exec.Command("sh", b.Program) // the copy may have lost its execute bit
	}
	b.script.Dir = b.dir()
	b.script.Env = append(b.environment(), extra...)
	b.script.Stdout, b.script.Stderr = b.output, b.output
	do(b.script.Start())
	b.ended = make(chan struct{})
	go func() { _ = b.script.Wait(); close(b.ended) }()
}

// start launches it and waits until it has become, or started, a process named
// comm, or never will.
func (b *bench) start(comm string, extra ...string) (pid int) {
	b.launch(extra...)
	until(30*time.Second, func() bool {
		pid = b.find(comm)
		return pid != 0 || b.over()
	})
	if pid == 0 { // a program that has ended may have left one that is about to become it: sh -c 'setsid sleep 60 &'
		until(15*time.Second, func() bool {
			pid = b.find(comm)
			return pid != 0 || len(b.running()) == 0
		})
	}
	if pid == 0 {
		b.want("a process named "+comm+" runs in the end", false, "none", comm, "what your program says, above, if anything; or has the kernel killed it?")
	}
	return pid
}

func (b *bench) over() bool {
	select {
	case <-b.ended:
		return true
	default:
		return false
	}
}

// until keeps asking until the answer is yes or the time is up. The times allow for
// emulated machines, which are ten to thirty times slower than real ones.
func until(limit time.Duration, yes func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if yes() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// --- /proc, by the mount that nobody can cover

func (b *bench) proc(pid int, name string) string {
	return filepath.Join(b.Top, "proc", strconv.Itoa(pid), name)
}

// pids are the processes of the sandbox but for the checker, oldest first.
func (b *bench) pids() (pids []int) {
	for _, e := range must(os.ReadDir(filepath.Join(b.Top, "proc"))) {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != 1 {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// running are those of pids that could still do something.
func (b *bench) running() []int {
	return slices.DeleteFunc(b.pids(), func(pid int) bool {
		state := b.status(pid, "State:")
		return state == "" || state == "Z" || state == "X"
	})
}

// named are those of running that have this name.
func (b *bench) named(comm string) []int {
	return slices.DeleteFunc(b.running(), func(pid int) bool { return b.comm(pid) != comm })
}

// find returns the newest running process of this name, or 0.
func (b *bench) find(comm string) int {
	pids := b.named(comm)
	if len(pids) == 0 {
		return 0
	}
	return pids[len(pids)-1]
}

// dying tells whether a process of the sandbox has a signal to heed, or is on its way out: on a busy machine either
// takes its time. proc_pid_status(5), proc_pid_stat(5)
func (b *bench) dying() bool {
	mask := func(pid int, field string) uint64 {
		n, _ := strconv.ParseUint(b.status(pid, field), 16, 64)
		return n
	}
	return slices.ContainsFunc(b.running(), func(pid int) bool {
		const exiting = 4 // PF_EXITING
		stat := text(b.proc(pid, "stat"))
		fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
		if len(fields) < 7 { // it has just gone
			return false
		}
		flags, _ := strconv.ParseUint(fields[6], 10, 64)
		return flags&exiting != 0 || (mask(pid, "SigPnd:")|mask(pid, "ShdPnd:"))&^mask(pid, "SigBlk:") != 0
	})
}

// lives asks a second later, and when all signals have been heeded.
func (b *bench) lives(comm string) bool {
	began := time.Now()
	for ; ; time.Sleep(20 * time.Millisecond) {
		waited := time.Since(began)
		switch {
		case b.find(comm) == 0:
			return false
		case waited > 30*time.Second, waited > time.Second && !b.dying():
			return b.find(comm) != 0
		}
	}
}

func (b *bench) comm(pid int) string { return text(b.proc(pid, "comm")) }

// status is one field of /proc/PID/status, proc_pid_status(5); of a list, the last.
func (b *bench) status(pid int, field string) string {
	for line := range strings.Lines(text(b.proc(pid, "status"))) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == field {
			if field == "NSpid:" {
				return f[len(f)-1]
			}
			return f[1]
		}
	}
	return ""
}

// ns is what /proc/PID/ns/KIND says, such as uts:[4026531838].
func (b *bench) ns(pid int, kind string) string {
	link, err := os.Readlink(b.proc(pid, "ns/"+kind))
	if err != nil {
		return "no such process"
	}
	return link
}

const checker = 1 // our process id in the sandbox

var kinds = []string{"uts", "ipc", "pid", "mnt", "net", "user", "cgroup"}

func (b *bench) shares(pid int, kind string) bool { return b.ns(pid, kind) == b.ns(checker, kind) }

// inside runs a function on a thread that has entered a namespace of the
// process, setns(2). The thread ends with it.
func (b *bench) inside(pid int, kind string, flag int, f func() error) error {
	return inNamespace(b.proc(pid, "ns/"+kind), flag, f)
}

// root is a path as the process sees it. An absolute symbolic link on the way
// would lead out again, and is not followed.
func (b *bench) root(pid int, path string) string { return b.proc(pid, "root"+path) }

func (b *bench) mounts(pid int) []*mountinfo.Info {
	file, err := os.Open(b.proc(pid, "mountinfo"))
	if err != nil {
		return nil // it has ended, and other findings say so
	}
	defer file.Close()
	return must(mountinfo.GetMountsFromReader(file, nil))
}

// mountAt is the mount that a process sees at this path: the last one there.
func (b *bench) mountAt(pid int, path string) (last *mountinfo.Info) {
	for _, m := range b.mounts(pid) {
		if m.Mountpoint == path {
			last = m
		}
	}
	return last
}

// --- cgroups

// cgroup is the directory of the cgroup that a process is in, in the hierarchy of
// the controller. The last part of "ID:CONTROLLERS:PATH" in cgroups(7).
func (b *bench) cgroup(pid int, controller string) string {
	ours := b.Cgroups[controller]
	for line := range strings.Lines(text(b.proc(pid, "cgroup"))) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) == 3 && (b.Version == 1 && slices.Contains(strings.Split(part[1], ","), controller) || b.Version == 2 && part[0] == "0") {
			at := strings.LastIndex(part[2], "/"+filepath.Base(ours))
			if at < 0 {
				return part[2] + " (not one of yours)"
			}
			return filepath.Dir(ours) + part[2][at:]
		}
	}
	return "(ended)"
}

// text is a file without the newline at its end; empty if it is not there.
func text(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

// number is the number in a file, or -1.
func number(path string) int64 {
	n, err := strconv.ParseInt(text(path), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// field is the number behind a word in a file such as memory.events, or -1.
func field(path, word string) int64 {
	for line := range strings.Lines(text(path)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == word {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return -1
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// --- predictions

// answers compares the lines "NAME = VALUE" of the learner's file with what the
// machine has just done. It does not show the right answer, only how to see it.
func (b *bench) answers(facts []fact) {
	given := map[string]string{}
	for line := range strings.Lines(text(b.File)) {
		line, _, _ = strings.Cut(line, "#")
		if name, value, ok := strings.Cut(line, "="); ok {
			given[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	for _, f := range facts {
		answer := given[f.name]
		found := answer
		if answer == "" || answer == "?" {
			found = "no answer"
		}
		b.want(f.name, answer == f.value, found, "what the kernel has just done", f.try)
	}
}

// A fact is an answer, and how to see it for oneself.
type fact struct{ name, value, try string }

// exitStatus runs a command to its end and returns its status as a shell would.
func exitStatus(cmd *exec.Cmd) string {
	err := cmd.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		do(err)
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return strconv.Itoa(128 + int(status.Signal()))
	}
	return strconv.Itoa(status.ExitStatus())
}

func write(path, value string) {
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		do(fmt.Errorf("write %q: %w", value, err))
	}
}

// bindHost makes a directory a root file system by borrowing the host's programs,
// as step 1 of day 3 does. Where /bin is a link to usr/bin, so it is here.
func bindHost(root string) {
	do(os.MkdirAll(root, 0o755))
	for _, dir := range []string{"bin", "sbin", "lib", "lib64", "usr"} {
		link, err := os.Readlink("/" + dir)
		if err == nil {
			do(os.Symlink(link, filepath.Join(root, dir)))
			continue
		}
		if !exists("/" + dir) {
			continue
		}
		do(os.Mkdir(filepath.Join(root, dir), 0o755))
		do(unix.Mount("/"+dir, filepath.Join(root, dir), "", unix.MS_BIND, ""))
	}
	for _, dir := range []string{"proc", "dev", "old", "data"} {
		do(os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	write(filepath.Join(root, "here"), "the new root\n")
}
