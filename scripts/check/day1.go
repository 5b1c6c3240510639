package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var checks = map[string]func(*bench){
	"day1-namespaces/01-who-shares": whoShares,
	"day1-namespaces/02-host-name":  hostName,
	"day1-namespaces/03-leak":       mountLeak,
	"day1-namespaces/04-keep":       keepNamespace,
	"day1-namespaces/05-reap":       reap,
	"day1-namespaces/06-container":  container,

	"day2-cgroups/01-who-dies": whoDies,
	"day2-cgroups/02-pids":     pidsLimit,
	"day2-cgroups/03-escape":   escapeLimit,
	"day2-cgroups/04-race":     race,
	"day2-cgroups/05-tidy":     tidy,
	"day2-cgroups/06-quota":    quota,

	"day3-images/01-copy-up":   copyUp,
	"day3-images/02-order":     layerOrder,
	"day3-images/03-chroot":    escapeChroot,
	"day3-images/04-pivot":     pivot,
	"day3-images/05-whiteout":  whiteout,
	"day3-images/06-volume":    volume,
	"day3-images/07-two-names": twoNames,

	"day4-lifecycle/01-who-stays": whoStays,
	"day4-lifecycle/02-session":   session,
	"day4-lifecycle/03-keeper":    keeper,
	"day4-lifecycle/04-trap":      trap,
	"day4-lifecycle/05-stranger":  stranger,
	"day4-lifecycle/06-rotate":    rotate,

	"day5-networks/01-comes-back":   whatComesBack,
	"day5-networks/02-third-box":    thirdBox,
	"day5-networks/03-black-hole":   blackHole,
	"day5-networks/04-loopback":     loopback,
	"day5-networks/05-two-networks": twoNetworks,
	"day5-networks/06-leftover":     leftover,
}

// whoShares: unshare(1) with two namespaces, seen from outside.
func whoShares(b *bench) {
	cmd := exec.Command("unshare", "--uts", "--pid", "--fork", "sleep", "60")
	do(cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	child := 0
	if !until(30*time.Second, func() bool { child = b.find("sleep"); return child != 0 }) {
		do(fmt.Errorf("unshare has started no sleep"))
	}
	same := func(pid int, kind string) string {
		if b.shares(pid, kind) {
			return "same"
		}
		return "new"
	}
	try := "unshare --uts --pid --fork sleep 60 & as root, then ls -l /proc/self/ns /proc/PID/ns, for both PIDs"
	facts := []fact{
		{"unshare uts", same(cmd.Process.Pid, "uts"), try},
		{"unshare pid", same(cmd.Process.Pid, "pid"), "pid_namespaces(7): who is in the new one, the caller of unshare(2) or its children? " + try},
		{"sleep uts", same(child, "uts"), try},
		{"sleep pid", same(child, "pid"), try},
		{"sleep mnt", same(child, "mnt"), try},
		{"sleep net", same(child, "net"), try},
		{"sleep's own pid", b.status(child, "NSpid:"), "grep NSpid /proc/PID/status; the last number is the innermost"},
	}
	// What ps does, without its many dialects: it reads the numbers in /proc.
	listed := must(exec.Command("unshare", "--uts", "--pid", "--fork", "sh", "-c", "echo /proc/[0-9]*").Output())
	shown := "all"
	if len(strings.Fields(string(listed))) == 1 {
		shown = "one"
	}
	facts = append(facts, fact{"ps in it shows", shown, "unshare --uts --pid --fork ps ax"})
	b.answers(facts)
}

// hostName: a UTS namespace and nothing else. The learner has to find out which
// kind it takes, so the kinds are checked only once the names are right.
func hostName(b *bench) {
	pid := b.start("sleep")
	if pid == 0 || !b.hostNames(pid) {
		return
	}
	b.ownNamespaces(pid, "uts")
}

// ownNamespaces wants these kinds to be the process's own, and all others shared.
func (b *bench) ownNamespaces(pid int, own ...string) {
	for _, kind := range kinds {
		is, want := "ours", "ours"
		if !b.shares(pid, kind) {
			is = "its own"
		}
		for _, k := range own {
			if k == kind {
				want = "its own"
			}
		}
		b.want("the "+kind+" namespace of sleep", is == want, is+", "+b.ns(pid, kind), want,
			"readlink /proc/PID/ns/"+kind+" and /proc/self/ns/"+kind+"; unshare(1)")
	}
}

func (b *bench) hostNames(pid int) bool {
	name := ""
	do(b.inside(pid, "uts", unix.CLONE_NEWUTS, func() (err error) { name, err = os.Hostname(); return err }))
	there := b.equal("the host name there", name, "box", "nsenter -t PID -u hostname; hostname(1) must run inside")
	outside := must(os.Hostname())
	here := b.equal("the host name here", outside, "vm", "which namespace do sleep and everybody else share? namespaces(7)")
	return there && here
}

// The first thread stays with the main goroutine. /proc/PID/ns shows this thread's
// namespaces. Otherwise inNamespace would sometimes take it into others; unlike other
// threads it could not simply end, and the checker would appear to be in there.
func init() { runtime.LockOSThread() }

func inNamespace(path string, flag int, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, flag)
			unix.Close(fd)
		}
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

// mountLeak, to be broken: a /proc mounted inside has to show outside.
func mountLeak(b *bench) {
	before := b.mountAt(checker, "/proc")
	pid := b.start("sleep")
	if pid == 0 {
		return
	}
	b.want("sleep has mount and PID namespaces of its own", !b.shares(pid, "mnt") && !b.shares(pid, "pid"),
		b.ns(pid, "mnt")+" "+b.ns(pid, "pid"), "others than ours", "keep both in the command: the leak has to get out of them")
	leaked := func() bool { return b.mountAt(checker, "/proc").ID != before.ID }
	ok := until(time.Second, leaked)
	found := "the one it was before"
	if ok {
		found = "one that was mounted in the container"
	}
	b.want("/proc outside", ok, found, "one that was mounted in the container",
		"/proc/self/mountinfo, the field shared:N; mount_namespaces(7), SHARED SUBTREES")
	if ok {
		_, err := os.Readlink("/proc/self")
		b.want("/proc/self outside", err != nil, fmt.Sprint(err), "an error: the new /proc does not know us",
			"this is how the second run failed in the series' program")
	}
}

// keepNamespace: a mount of type nsfs is a reference to a namespace.
func keepNamespace(b *bench) {
	b.launch()
	if !b.equal("your script ends", until(30*time.Second, b.over), true, "nothing has to run on: that is the point") {
		return
	}
	// No process left in the background may be what keeps the namespace alive.
	for _, pid := range b.pids() {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	m := b.mountAt(checker, b.dir()+"/kept")
	if !b.want("a mount on the file kept", m != nil, m != nil, true,
		"findmnt -t nsfs; namespaces(7), Namespace lifetime") {
		return
	}
	b.want("what is mounted", m.FSType == "nsfs" && strings.HasPrefix(m.Root, "net:["), m.FSType+" "+m.Root, "nsfs net:[...]",
		"/proc/self/mountinfo, fields 4 and 9")
	b.want("the namespace", m.Root != b.ns(checker, "net"), m.Root, "another than ours, "+b.ns(checker, "net"), "which one did you bind?")
	err := inNamespace(b.dir()+"/kept", unix.CLONE_NEWNET, func() error {
		up, err := loopbackUp()
		if err == nil {
			b.equal("lo in it is up", up, true, "nsenter --net=kept ip link; ip link set lo up must run inside")
		}
		return err
	})
	b.want("it can be entered with no process in it", err == nil, fmt.Sprint(err), "<nil>", "nsenter --net=kept ip link")
}

// loopbackUp asks of the caller's network namespace. netdevice(7)
func loopbackUp() (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return false, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
		return false, err
	}
	return request.Uint16()&unix.IFF_UP != 0, nil
}

// reap: PID 1 inherits orphans and must wait for them.
func reap(b *bench) {
	pid := b.start("tail")
	if pid == 0 {
		return
	}
	if !b.want("tail has a PID namespace of its own", !b.shares(pid, "pid"), b.ns(pid, "pid"), "another than ours", "keep Cloneflags as they are") {
		return
	}
	// The orphans sleep for a second; PID 1 of the container is their parent by then. Before that they are still sh.
	until(30*time.Second, func() bool { return b.find("sh") == 0 && b.find("sleep") == 0 })
	until(5*time.Second, func() bool { return b.zombies() == 0 })
	b.equal("zombies in the container", b.zombies(), 0,
		"ps ax -o pid,ppid,stat,comm: Z; wait(2); pid_namespaces(7): PID 1 becomes the parent of all orphans")
	b.equal("tail still runs", b.find("tail") == pid, true, "going on until tail itself has ended")
	_ = unix.Kill(pid, unix.SIGKILL)
	b.equal("your program ends when tail has ended", until(30*time.Second, b.over), true, "wait4(2) says whose end it was: compare")
}

// zombies counts those that a PID 1 has not waited for.
func (b *bench) zombies() (n int) {
	for _, pid := range b.pids() {
		var parent int
		_, _ = fmt.Sscan(b.status(pid, "PPid:"), &parent)
		if parent != checker && b.status(pid, "State:") == "Z" && b.status(parent, "NSpid:") == "1" {
			n++
		}
	}
	return n
}

// container: all of it.
func container(b *bench) {
	before := len(b.mounts(checker))
	pid := b.start("sleep")
	if pid == 0 {
		return
	}
	b.ownNamespaces(pid, kinds...)
	b.hostNames(pid)
	first := b.mountAt(pid, "/proc")
	b.want("/proc in it", first != nil && first.ID != 0 && exists(b.root(pid, "/proc/1/comm")) && !exists(b.root(pid, "/proc/"+fmt.Sprint(pid))),
		"knows processes: "+strings.Join(names(b.root(pid, "/proc")), " "), "a new one, which knows the container's processes only", "ls /proc, inside; what a /proc shows was decided when it was mounted")
	up := false
	do(b.inside(pid, "net", unix.CLONE_NEWNET, func() (err error) { up, err = loopbackUp(); return err }))
	b.equal("lo in it is up", up, true, "ip link set lo up, inside")
	b.want("root in it is", strings.Join(strings.Fields(text(b.proc(pid, "uid_map"))), " ") == "0 0 1", text(b.proc(pid, "uid_map")), "0 0 1: root and nobody else",
		"/proc/PID/uid_map; user_namespaces(7)")
	b.equal("mounts outside, more than before", len(b.mounts(checker))-before, 0, "diff of /proc/self/mountinfo, before and after")
	_ = b.script.Process.Kill()
	<-b.ended
	gone := !b.lives("sleep")
	b.want("sleep ends when your program is killed", gone, gone, true, "who tells a process that its parent has died? prctl(2)")
}

func names(dir string) (numbers []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name()[0] >= '0' && e.Name()[0] <= '9' {
			numbers = append(numbers, e.Name())
		}
	}
	return numbers
}
