package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day1-namespaces/namespace"
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
	c, err := receive(os.NewFile(configFD, "config"))
	if err != nil {
		return complain(err) // the parent is gone: nobody reads a report
	}
	if err := setUp(c); err != nil {
		return giveUp(report, err)
	}
	command, err := startCommand(c)
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
	if c.has(unix.CLONE_NEWNS) {
		if err := makeMountsPrivate(); err != nil {
			return err
		}
	}
	if c.has(unix.CLONE_NEWNS) && c.has(unix.CLONE_NEWPID) {
		if err := mountProc(); err != nil {
			return err
		}
	}
	if c.has(unix.CLONE_NEWUTS) {
		if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
			return fmt.Errorf("set host name %q: %w", c.Hostname, err)
		}
	}
	if c.has(unix.CLONE_NEWNET) {
		if err := namespace.LoopbackUp(); err != nil {
			return err
		}
	}
	return hideDescriptors()
}

// hideDescriptors marks every descriptor except standard input, output and
// error close-on-exec. The parent calls it because a descriptor leaked by its
// caller could give the command a way out (CVE-2024-21626); init calls it
// because the command must not inherit the pipes.
func hideDescriptors() error {
	const first, last = 3, 1<<32 - 1
	err := unix.CloseRange(first, last, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("hide open descriptors: %w", err)
	}
	// Linux before 5.11.
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open descriptors: %w", err)
	}
	for _, e := range entries {
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// startCommand starts the command and returns its process id.
func startCommand(c *Container) (int, error) {
	path, err := c.lookPath()
	if err != nil {
		return 0, cannotRun(c.Args[0], err)
	}
	attr := &syscall.SysProcAttr{
		Cloneflags: c.Namespaces & unix.CLONE_NEWCGROUP,
		Pdeathsig:  syscall.SIGKILL, // for a container without a PID namespace
		// A session of its own makes the terminal the command's, as after a
		// login: ^C does not reach us, and ^Z cannot stop a process that nobody
		// could continue.
		Setsid:  c.TTY,
		Setctty: c.TTY,
	}
	if !c.Init {
		return 0, becomeCommand(c, path)
	}
	pid, err := syscall.ForkExec(path, c.Args, &syscall.ProcAttr{
		Env:   c.Env,
		Files: []uintptr{0, 1, 2},
		Sys:   attr,
	})
	if err != nil {
		return 0, cannotStart(c, err)
	}
	return pid, nil
}

// becomeCommand is --init=false, Docker's own default: the command replaces us
// as PID 1. It returns only if exec fails.
func becomeCommand(c *Container, path string) error {
	if err := unix.Unshare(int(c.Namespaces & unix.CLONE_NEWCGROUP)); err != nil {
		return fmt.Errorf("make a cgroup namespace: %w", err)
	}
	return cannotRun(c.Args[0], syscall.Exec(path, c.Args, c.Env))
}

// lookPath finds the command in the container's PATH.
func (c *Container) lookPath() (string, error) {
	for _, e := range c.Env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return "", err
			}
		}
	}
	return exec.LookPath(c.Args[0])
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
			return statusOf(status)
		}
	}
}
