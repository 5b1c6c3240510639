package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The same limit has a different name in each version. Swap is closed, or it would
// take whatever the limit refuses.
func (b *bench) limitMemory(box string, limit string) {
	if b.Version == 2 {
		write(box+"/memory.max", limit)
		if exists(box + "/memory.swap.max") {
			write(box+"/memory.swap.max", "0")
		}
		return
	}
	write(box+"/memory.limit_in_bytes", limit)
	if exists(box + "/memory.memsw.limit_in_bytes") { // memory and swap together
		write(box+"/memory.memsw.limit_in_bytes", limit)
	}
}

func (b *bench) memoryLimit(box string) int64 {
	return number(box + map[int]string{1: "/memory.limit_in_bytes", 2: "/memory.max"}[b.Version])
}

func (b *bench) memoryUsage(box string) int64 {
	return number(box + map[int]string{1: "/memory.usage_in_bytes", 2: "/memory.current"}[b.Version])
}

func (b *bench) oomKills(box string) int64 {
	return field(box+map[int]string{1: "/memory.oom_control", 2: "/memory.events"}[b.Version], "oom_kill")
}

// in is a command that is born in the cgroup: the shell moves, then becomes it.
func (b *bench) in(box string, args ...string) *exec.Cmd {
	script := `echo $$ >"$0/cgroup.procs" && exec "$@"`
	return exec.Command("sh", append([]string{"-c", script, box}, args...)...)
}

// whoDies: what a memory limit of 200 MiB does to four programs.
func whoDies(b *bench) {
	box := filepath.Join(b.Cgroups["memory"], "box")
	do(os.Mkdir(box, 0o755))
	b.limitMemory(box, "200M")
	try := "mkdir $MEMORY/box, set the limit, sh -c 'echo $$ >$MEMORY/box/cgroup.procs; exec ...'; step 4 of the chapter does it"
	facts := []fact{
		{"writes to 100 MiB", exitStatus(b.in(box, b.hog(), "100", "end")), try},
		{"writes to 400 MiB", exitStatus(b.in(box, b.hog(), "400", "end")), try},
		{"asks for 400 MiB and writes to none", exitStatus(b.in(box, b.hog(), "400", "untouched")), try},
	}
	child := filepath.Join(box, "child")
	if b.Version == 2 {
		do(enable(box, "memory"))
	}
	do(os.Mkdir(child, 0o755))
	facts = append(facts, fact{"writes to 400 MiB in a child cgroup without a limit", exitStatus(b.in(child, b.hog(), "400", "end")), try})

	// Two that fit one at a time. In the child: v2 wants processes in leaves only.
	counts := func() int64 { return b.oomKills(child) } // in the victim's cgroup; v2 also above it
	before := counts()
	first := b.in(child, b.hog(), "120")
	do(first.Start())
	if !until(60*time.Second, func() bool { return b.find("fed-hog") != 0 }) {
		do(fmt.Errorf("the first hog did not get its memory"))
	}
	_ = b.in(child, b.hog(), "120", "end").Run() // either may be the victim
	// One victim is enough, but on a busy machine its memory comes back so late that both go.
	live := "yes"
	if counts() > before {
		live = "no"
	}
	facts = append(facts, fact{"two write to 120 MiB each: do both live (yes, no)", live,
		"oom_kill in memory.events (v2) or memory.oom_control (v1), before and after"})
	_ = first.Process.Kill()
	_ = first.Wait()
	b.answers(facts)
}

func (b *bench) inBox(pid int, controller string) bool {
	box := filepath.Join(b.Cgroups[controller], "box")
	return b.equal("the cgroup of "+b.comm(pid), b.cgroup(pid, controller), box, "cat /proc/PID/cgroup; write the PID to cgroup.procs")
}

// pidsLimit: read the limit back, then try it.
func pidsLimit(b *bench) {
	pid := b.start("sleep")
	if pid == 0 || !b.inBox(pid, "pids") {
		return
	}
	box := filepath.Join(b.Cgroups["pids"], "box")
	if !b.equal("how many processes it may hold", text(box+"/pids.max"), "5", "ls "+box) {
		return
	}
	// Only fork(2) is refused: moving in more than that many is allowed, pids.rst.
	many := b.in(box, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait")
	do(many.Start())
	refused := func() bool { return field(box+"/pids.events", "max") > 0 }
	ok := until(15*time.Second, refused)
	b.want("a fork beyond it is refused", ok, fmt.Sprintf("%d of the forks refused", max(0, field(box+"/pids.events", "max"))), "at least one", "cat "+box+"/pids.events")
	_ = many.Process.Kill()
	_ = many.Wait()
}

// escapeLimit, to be broken: a child that was forked earlier stays where it is.
func escapeLimit(b *bench) {
	box := filepath.Join(b.Cgroups["memory"], "box")
	hog := b.start("fed-hog")
	if hog == 0 {
		return
	}
	shell := b.script.Process.Pid
	until(5*time.Second, func() bool { return b.cgroup(shell, "memory") == box })
	b.equal("the limit", b.memoryLimit(box), int64(50<<20), "leave the limit as it is")
	b.equal("the cgroup of your shell", b.cgroup(shell, "memory"), box, "cat /proc/PID/cgroup of the script")
	b.want("the hog", b.cgroup(hog, "memory") != box && b.status(hog, "State:") != "", "is in "+b.cgroup(hog, "memory")+" and has "+b.status(hog, "VmRSS:")+" kB",
		"outside of the box", "cat /proc/PID/cgroup of the hog; cgroups(7): a child starts in the cgroup of its parent, and is not moved with it")
	var resident int64
	_, _ = fmt.Sscan(b.status(hog, "VmRSS:"), &resident)
	b.want("the memory it has", resident >= 100<<10, fmt.Sprintf("%d kB", resident), "102400 kB or more", "VmRSS in /proc/PID/status")
}

// race: the hog's memory has to be charged to the box from its first page on.
func race(b *bench) {
	box := filepath.Join(b.Cgroups["memory"], "box")
	hog := b.start("fed-hog")
	if hog == 0 {
		return
	}
	// The parent may still be about to write.
	until(6*time.Second, func() bool { return b.cgroup(hog, "memory") == box || b.over() })
	b.inBox(hog, "memory")
	usage := b.memoryUsage(box)
	b.want("what is charged to it", usage >= 30<<20, fmt.Sprintf("%d bytes", usage), "31457280 or more, all of the hog",
		"memory.current (v2), memory.usage_in_bytes (v1): a page is charged to the cgroup its process is in when it first writes to it")
}

// tidy: a signal must not leave the cgroup and its processes.
func tidy(b *bench) {
	pid := b.start("sleep")
	if pid == 0 || !b.inBox(pid, "memory") {
		return
	}
	box := filepath.Join(b.Cgroups["memory"], "box")
	_ = b.script.Process.Signal(syscall.SIGTERM)
	b.equal("your script ends on SIGTERM", until(30*time.Second, b.over), true, "trap in sh(1); wait is what a signal interrupts")
	b.equal("sleep is gone", !b.lives("sleep"), true, "cat "+box+"/cgroup.procs")
	b.equal("the cgroup is gone", !exists(box), true, "rmdir "+box+" by hand: EBUSY as long as a process is in it, and that for a moment after its death")
}

// quota: a fifth of one processor.
func quota(b *bench) {
	pid := b.start("spin-hog")
	if pid == 0 || !b.inBox(pid, "cpu") {
		return
	}
	box := filepath.Join(b.Cgroups["cpu"], "box")
	quota, period := number(box+"/cpu.cfs_quota_us"), number(box+"/cpu.cfs_period_us")
	if b.Version == 2 {
		quota = -1
		if f := strings.Fields(text(box + "/cpu.max")); len(f) == 2 && f[0] != "max" {
			_, _ = fmt.Sscan(f[0], &quota)
			_, _ = fmt.Sscan(f[1], &period)
		}
	}
	found := "no limit"
	if quota > 0 {
		found = fmt.Sprintf("%d of every %d microseconds", quota, period)
	}
	if !b.want("the quota", quota > 0 && quota*5 == period, found, "a fifth of the period", "ls "+box+": which file is about a quota, and not a weight?") {
		return
	}
	throttled := func() int64 { return field(box+"/cpu.stat", "nr_throttled") }
	until(60*time.Second, func() bool { return throttled() >= 3 })
	b.want("it was made to wait", throttled() >= 3, fmt.Sprintf("%d times", throttled()), "3 times or more", "nr_throttled in cpu.stat")
}
