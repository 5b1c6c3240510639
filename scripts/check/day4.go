package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// spawn starts a command of ours and waits until the process that matters, comm,
// exists.
func (b *bench) spawn(comm string, args ...string) (cmd *exec.Cmd, pid int) {
	cmd = exec.Command(args[0], args[1:]...)
	cmd.Dir = b.dir()
	do(cmd.Start())
	if !until(30*time.Second, func() bool { pid = b.find(comm); return pid != 0 }) {
		do(fmt.Errorf("%q has started no %s", args, comm))
	}
	return cmd, pid
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// locked tells whether somebody has the file locked, flock(2).
func locked(path string) bool {
	file := must(os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o644))
	defer file.Close()
	err := unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		do(err)
	}
	return err != nil
}

// whoStays: signals to a process 1, a lock, an orphan.
func whoStays(b *bench) {
	word := map[bool]string{true: "lives", false: "dies"}
	try := "unshare --pid --fork --mount-proc sleep 60 & then kill; nsenter --target PID --pid --mount kill -KILL 1; step 3 of the chapter"
	box, pid := b.spawn("sleep", "unshare", "--pid", "--fork", "sleep", "60")
	do(unix.Kill(pid, unix.SIGTERM))
	facts := []fact{{"SIGTERM from outside", word[b.lives("sleep")], try}}
	do(exec.Command("nsenter", "--target", strconv.Itoa(pid), "--pid", "sh", "-c", "kill -KILL 1").Run())
	facts = append(facts, fact{"SIGKILL from inside", word[b.lives("sleep")], try})
	do(unix.Kill(pid, unix.SIGKILL))
	facts = append(facts, fact{"SIGKILL from outside", word[b.lives("sleep")], try})
	end(box)

	state := map[bool]string{true: "held", false: "free"}
	for _, c := range []struct{ name, script string }{
		{"the lock, its holder killed", "exec 9>lock; flock 9; sleep 60 9>&- & exec sleep 59"},
		{"the lock, its holder killed and a child left", "exec 9>lock; flock 9; sleep 60 & exec sleep 59"},
	} {
		holder := exec.Command("sh", "-c", c.script)
		holder.Dir = b.dir()
		do(holder.Start())
		lock := filepath.Join(b.dir(), "lock")
		if !until(30*time.Second, func() bool { return locked(lock) && len(b.named("sleep")) == 2 }) { // the shell becomes the second
			do(errors.New("nobody has taken the lock"))
		}
		end(holder)
		facts = append(facts, fact{c.name, state[locked(lock)], "flock(1), kill -9, flock -n lock true; flock(2): to what does a lock belong?"})
		for pid := b.find("sleep"); pid != 0; pid = b.find("sleep") {
			do(unix.Kill(pid, unix.SIGKILL))
			until(time.Second, func() bool { return b.find("sleep") != pid })
		}
	}
	orphan := exec.Command("sh", "-c", "sleep 60 &")
	do(orphan.Run())
	until(30*time.Second, func() bool { return b.find("sleep") != 0 && b.status(b.find("sleep"), "PPid:") == "1" })
	facts = append(facts, fact{"the orphan's parent", b.status(b.find("sleep"), "PPid:"), "sh -c 'sleep 60 &'; ps -o ppid,args -C sleep. A machine may have a subreaper: prctl(2)"})
	b.answers(facts)
}

// session: what stays has a session of its own and holds on to nothing of ours.
func session(b *bench) {
	pid := b.start("sleep")
	if pid == 0 {
		return
	}
	until(30*time.Second, b.over)
	if !b.want("sleep goes on when run.sh has ended", b.over() && b.find("sleep") == pid, b.find("sleep"), pid, "does run.sh wait for it? or end it?") {
		return
	}
	fields := strings.Fields(text(b.proc(pid, "stat"))[strings.LastIndex(text(b.proc(pid, "stat")), ")")+1:])
	b.equal("its session is its own", fields[3], strconv.Itoa(pid), "ps -o pid,sid -p PID; setsid(1), setsid(2)")
	for fd, want := range []string{"/dev/null", filepath.Join(b.dir(), "log"), filepath.Join(b.dir(), "log")} {
		link, err := os.Readlink(b.proc(pid, fmt.Sprintf("fd/%d", fd)))
		if err != nil {
			link = err.Error()
		}
		b.equal([]string{"its standard input", "its standard output", "its standard error"}[fd], link, want, "ls -l /proc/PID/fd; sh(1), Redirections")
	}
}

// keeper: a status for every end, a lock that cannot lie, and no job without a
// keeper.
func keeper(b *bench) {
	file := func(name string) string { return filepath.Join(b.dir(), name) }
	for job, status := range map[string]string{"exit 7": "7", "kill -TERM $$": "143"} {
		b.launch("JOB=" + job)
		until(30*time.Second, b.over)
		if !b.equal("status after "+job, text(file("status")), status, "wait; echo $?; a shell adds 128 to the number of a signal") {
			return
		}
		do(os.Remove(file("status")))
	}
	pid := b.start("sleep", "JOB=exec sleep 60")
	if pid == 0 {
		return
	}
	if !b.equal("while the keeper lives, the lock is held", locked(file("lock")), true, "flock(1)") {
		return
	}
	do(b.script.Process.Kill())
	<-b.ended
	b.want("after kill -9 of the keeper, the job is dead", !b.lives("sleep"), word(b.find("sleep") != 0, "it lives", "dead"), "dead",
		"prctl(2), PR_SET_PDEATHSIG; setpriv(1) can set it for a command")
	b.want("after kill -9 of the keeper, the lock is free", !locked(file("lock")), word(locked(file("lock")), "held", "free"), "free",
		"ls -l /proc/PID/fd of the job: who has the lock open? flock(2)")
}

func word(yes bool, is, isNot string) string {
	if yes {
		return is
	}
	return isNot
}

// trap: one thread enters the box, and all others stay outside.
func trap(b *bench) {
	box, pid := b.spawn("sleep", "unshare", "--mount", "--uts", "sh", "-c", "hostname box; mount -t tmpfs box /mnt; mkdir /mnt/box; exec sleep 60")
	defer end(box)
	do(inNamespace(b.proc(pid, "ns/uts"), unix.CLONE_NEWUTS, func() error { return nil }))
	b.launch("BOX=" + strconv.Itoa(pid))
	main, inside := 0, ""
	until(30*time.Second, func() bool {
		main = b.script.Process.Pid
		tasks, _ := filepath.Glob(b.proc(main, "task/*"))
		for _, task := range tasks {
			uts, _ := os.Readlink(task + "/ns/uts")
			mnt, _ := os.Readlink(task + "/ns/mnt")
			if uts == b.ns(pid, "uts") && mnt == b.ns(pid, "mnt") {
				inside = task
			}
		}
		return inside != "" || b.over()
	})
	if !b.want("a thread is in the box's UTS and mount namespaces", inside != "", word(inside != "", "one", "none"), "one", "setns(2); what your program says, above") {
		return
	}
	b.equal("that thread sees /mnt/box", exists(inside+"/root/mnt/box"), true, "/proc/PID/task/TID/root")
	tasks, _ := filepath.Glob(b.proc(main, "task/*"))
	others := 0
	for _, task := range tasks {
		if task != inside && exists(task+"/root/mnt/box") {
			others++
		}
	}
	b.want("other threads that see it, too", others == 0, others, 0, "clone(2), CLONE_FS: what do the threads of a process share? unshare(2)")
	b.want("there are other threads", len(tasks) > 1, len(tasks), "more than one", "a Go program always has some")
}

// stranger: a number is not a process.
func stranger(b *bench) {
	sleep := func(seconds string) *exec.Cmd {
		cmd := exec.Command("sleep", seconds)
		do(cmd.Start())
		return cmd
	}
	try := func(victim *exec.Cmd, meanwhile func()) {
		_ = os.Remove(filepath.Join(b.dir(), "go"))
		b.launch("PID=" + strconv.Itoa(victim.Process.Pid))
		until(30*time.Second, func() bool { return strings.Contains(text(b.output.Name()), "ready") || b.over() })
		meanwhile()
		write(filepath.Join(b.dir(), "go"), "")
		until(30*time.Second, b.over)
	}
	victim := sleep("61")
	try(victim, func() {})
	_ = victim.Wait()
	ws := victim.ProcessState.Sys().(syscall.WaitStatus)
	if !b.want("it ends the process that it was told to end", ws.Signaled() && ws.Signal() == unix.SIGTERM, ws.Signal(), "SIGTERM", "what your program says, above") {
		return
	}
	victim = sleep("62")
	var other *exec.Cmd
	try(victim, func() {
		end(victim)
		for range 100 { // process ids are given out in order: pid_namespaces(7)
			write("/proc/sys/kernel/ns_last_pid", strconv.Itoa(victim.Process.Pid-1))
			if other = sleep("63"); other.Process.Pid == victim.Process.Pid {
				return
			}
			end(other)
		}
		do(errors.New("no process has got the number"))
	})
	alive := b.lives("sleep")
	end(other)
	b.want("a stranger who has got the number since", alive, word(alive, "lives", "was killed"), "lives", "pidfd_open(2): when did the program look whom it means?")
}

// rotate: a log that does not grow for ever, and loses nothing of its end.
func rotate(b *bench) {
	var input strings.Builder
	for i := range 300 {
		fmt.Fprintf(&input, "line %d of the log\n", i)
	}
	write(filepath.Join(b.dir(), "input"), input.String())
	b.launch()
	until(30*time.Second, b.over)
	const most = 1000
	newest, older := text(filepath.Join(b.dir(), "log"))+"\n", text(filepath.Join(b.dir(), "log.1"))+"\n"
	b.want("bytes of log", len(newest) > 1 && len(newest) <= most, len(newest), "1 to 1000", "ls -l")
	b.want("bytes of log.1", len(older) > most/2 && len(older) <= most, len(older), "501 to 1000", "ls -l: is a file used before the next one begins?")
	b.equal("log.2 is there", exists(filepath.Join(b.dir(), "log.2")), false, "two files are kept; rename(2) replaces")
	b.equal("log.1 and log are the end of what was written", strings.HasSuffix(input.String(), older+newest), true, "cat log.1 log | diff - input: is a line lost, or in two pieces?")
}
