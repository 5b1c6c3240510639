package container

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day4-lifecycle/cgroup"
	"example.com/go-docker/day4-lifecycle/confine"
	"example.com/go-docker/day4-lifecycle/namespace"
	"example.com/go-docker/day4-lifecycle/rootfs"
)

// The child becomes init here, before main and before Go initializes the
// packages that only the parent uses, which is half of this program's startup
// time. Whatever this room imports is initialized in the child, too.
//
// Parent and child both stay on the main thread, because two things we use
// belong to a thread, not to a process: the death signal of prctl(2)
// PR_SET_PDEATHSIG fires when the thread that forked ends, and unshare(2) acts
// only on the calling thread.
func init() {
	runtime.LockOSThread()
	if isInit(os.Args) {
		syscall.Exit(runInit()) // os.Exit would wait for the race detector
	}
}

// isInit reports whether this process is the child that Create made.
func isInit(args []string) bool { return len(args) == 2 && args[1] == "init" }

// runInit is the first process of the container, PID 1 of its PID namespace. It
// returns its exit status.
func runInit() int {
	// PID 1 gets only the signals for which it has a handler. pid_namespaces(7)
	//
	// A goroutine beside setUp would save a third of a millisecond, but when a
	// signal that nobody has asked for arrives on one thread while another
	// thread asks for it, Go's handler may call itself until it has overwritten
	// the heap. (golang.org/issue/20748) Linux gives a process's signal to the
	// main thread first, which is this one: here one comes after the other.
	signals := CatchSignals()

	report := os.NewFile(reportFD, "report")
	m, err := receive(os.NewFile(configFD, "config"))
	if err != nil {
		return complain(err) // the parent is gone: nobody reads a report
	}
	if err := setUp(&m.Container); err != nil {
		return giveUp(report, err)
	}
	command, err := startCommand(&m.Container, m.Entry)
	if err != nil {
		return giveUp(report, err)
	}
	_ = report.Close() // the parent reads end of file: the command runs
	go func() {
		for sig := range signals.caught {
			_ = syscall.Kill(command, sig.(syscall.Signal)) // fails only if it has just ended
		}
	}()
	return reap(command)
}

func giveUp(report *os.File, err error) int {
	if err := sendReport(report, err); err != nil {
		return complain(err)
	}
	return RuntimeError
}

// complain prints an error that the parent cannot report for us.
func complain(err error) int {
	fmt.Fprintln(os.Stderr, "error:", err)
	return RuntimeError
}

// setUp is the recipe: it turns this process, which so far is merely in new,
// empty namespaces, into a container.
func setUp(c *Container) error {
	unix.Umask(0o022) // Docker's, whatever our caller's: all users may enter what we make
	if err := rootfs.MakeMountsPrivate(); err != nil {
		return err
	}
	if err := c.Root.Enter(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
		return fmt.Errorf("set host name %q: %w", c.Hostname, err)
	}
	if err := namespace.LoopbackUp(); err != nil {
		return err
	}
	return HideDescriptors()
}

// HideDescriptors marks every descriptor except standard input, output and
// error close-on-exec. The parent calls it because a descriptor leaked by its
// caller could give the command a way out (CVE-2024-21626); init calls it
// because the command must not inherit the pipes.
func HideDescriptors() error {
	if err := unix.CloseRange(3, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC); err != nil { // Linux 5.11
		return fmt.Errorf("hide open descriptors: %w", err)
	}
	return nil
}

// startCommand starts the command and returns its process id.
func startCommand(c *Container, entry cgroup.Entry) (int, error) {
	path, err := c.LookPath()
	if err != nil {
		return 0, CannotRun(c.Args[0], err)
	}
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWCGROUP,
		Pdeathsig:  syscall.SIGKILL, // days 1 and 2 have containers without a PID namespace
		// A session of its own makes the terminal the command's, as after a
		// login: ^C does not reach us, and ^Z cannot stop a process that nobody
		// could continue.
		Setsid:  c.TTY,
		Setctty: c.TTY,
	}
	if attr.Credential, c.Env, err = confine.LookUpUser(c.User, c.Env); err != nil {
		return 0, err
	}
	restore, err := confine.SetRlimits(c.Rlimits)
	if err != nil {
		return 0, err
	}
	if !c.Init {
		if err := entry.Enter(attr); err != nil {
			return 0, err
		}
		if err := confine.DropCapabilities(); err != nil {
			return 0, err
		}
		return 0, becomeCommand(c, path, attr.Credential)
	}
	pid, err := forkExec(entry, path, c.Args, &syscall.ProcAttr{
		Env:   c.Env,
		Files: []uintptr{0, 1, 2},
		Sys:   attr,
	})
	if err != nil {
		return 0, CannotStart(c, err)
	}
	return pid, restore()
}

// forkExec starts the command in the cgroup, from a thread of its own. In
// version 1 a new process starts in the cgroup of the thread that forked it,
// but a process's memory is charged to the cgroup of its main thread, which the
// OOM killer goes by, too. So init's main thread stays outside.
func forkExec(entry cgroup.Entry, path string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
	forked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if err = entry.Enter(attr.Sys); err == nil {
			err = confine.DropCapabilities() // this thread's, and so also the command's
		}
		if err == nil {
			pid, err = syscall.ForkExec(path, args, attr)
		}
		close(forked)
		select {} // the command would get its death signal if this thread ended
	}()
	<-forked
	return pid, err
}

// becomeCommand is --init=false, Docker's own default: the command replaces us
// as PID 1. It returns only if exec fails.
func becomeCommand(c *Container, path string, user *syscall.Credential) error {
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a cgroup namespace: %w", err)
	}
	if err := confine.BecomeUser(user); err != nil {
		return err
	}
	return CannotRun(c.Args[0], syscall.Exec(path, c.Args, c.Env))
}

// LookPath finds the command in the container's PATH. exec.LookPath would look in
// ours, which all threads have in common.
func (c *Container) LookPath() (string, error) {
	name, path := c.Args[0], ""
	for _, e := range c.Env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok {
			path = value
		}
	}
	if strings.Contains(name, "/") {
		return exec.LookPath(name)
	}
	for _, dir := range filepath.SplitList(path) {
		found, err := exec.LookPath(cmp.Or(dir, ".") + "/" + name)
		if err == nil && !filepath.IsAbs(dir) {
			err = exec.ErrDot
		}
		if err == nil || errors.Is(err, exec.ErrDot) {
			return found, err
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// reap waits for every child until the command ends. The kernel makes PID 1 the
// parent of all orphans in its namespace; an orphan that nobody waits for stays
// a zombie and keeps its process id.
func reap(command int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return complain(fmt.Errorf("wait for the container's processes: %w", err))
		case pid == command:
			return StatusOf(status)
		}
	}
}
