package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"example.com/go-docker/day3-images/confine"
	"example.com/go-docker/day3-images/rootfs"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// isInit tells whether this process is the child that run made.
func isInit(args []string) bool { return len(args) == 2 && args[1] == "init" }

// containerInit is the first process of the container, PID 1 of its PID
// namespace. It returns the status to exit with.
func containerInit() int {
	logrus.SetFormatter(plainFormatter{})

	// PID 1 gets only the signals it has asked for, pid_namespaces(7). To ask
	// takes Go a millisecond, so it happens beside setUp, which takes longer.
	asked := make(chan *signals, 1)
	go func() { asked <- catchSignals() }()

	report := os.NewFile(reportFD, "report")
	c, err := receive(os.NewFile(configFD, "config"))
	if err != nil {
		logrus.Error(err) // the parent is gone: nobody reads a report
		return exitRuntimeError
	}
	if err := setUp(c); err != nil {
		return giveUp(report, err)
	}
	command, err := startCommand(c)
	if err != nil {
		return giveUp(report, err)
	}
	signals := <-asked // before the parent can learn that we run
	report.Close()     // the parent reads end of file: the command runs
	go func() {
		for sig := range signals.caught {
			_ = syscall.Kill(command, sig.(syscall.Signal)) // fails only when it has just ended
		}
	}()
	return reap(command)
}

func giveUp(report *os.File, err error) int {
	if err := sendReport(report, err); err != nil {
		logrus.Error(err)
	}
	return exitRuntimeError
}

// setUp is the recipe: it turns this process, which so far is only in new and
// empty namespaces, into a container.
func setUp(c *Container) error {
	if err := rootfs.MakeMountsPrivate(); err != nil {
		return err
	}
	if err := c.Root.Enter(); err != nil {
		return err
	}
	if c.has(unix.CLONE_NEWUTS) {
		if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
			return fmt.Errorf("set host name %q: %w", c.Hostname, err)
		}
	}
	if c.has(unix.CLONE_NEWNET) {
		if err := loopbackUp(); err != nil {
			return err
		}
	}
	if err := rootfs.EnterWorkdir(c.Dir); err != nil {
		return err
	}
	return hideDescriptors()
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
		// In a session of its own the terminal is the command's, as after a login:
		// ^C is not for us, and ^Z stops nothing that nobody could continue.
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
		if err := c.Cgroup.enter(attr); err != nil {
			return 0, err
		}
		if err := confine.DropCapabilities(); err != nil {
			return 0, err
		}
		return 0, becomeCommand(c, path, attr.Credential)
	}
	pid, err := c.Cgroup.forkExec(path, c.Args, &syscall.ProcAttr{
		Env:   c.Env,
		Files: []uintptr{0, 1, 2},
		Sys:   attr,
	})
	if err != nil {
		return 0, cannotRun(c.Args[0], err)
	}
	return pid, restore()
}

// becomeCommand is --init=false, Docker's own default: the command replaces
// us and is PID 1. It returns only to say why it could not.
func becomeCommand(c *Container, path string, u *syscall.Credential) error {
	if err := unix.Unshare(int(c.Namespaces & unix.CLONE_NEWCGROUP)); err != nil {
		return fmt.Errorf("make a cgroup namespace: %w", err)
	}
	if err := confine.BecomeUser(u); err != nil {
		return err
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

// reap waits for every child there is until the command ends. The kernel makes
// PID 1 the parent of all orphans in its namespace; one that nobody waits for
// stays a zombie and keeps its process id.
func reap(command int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			logrus.Errorf("wait for the container's processes: %v", err)
			return exitRuntimeError
		case pid == command:
			return statusOf(status)
		}
	}
}

// hideDescriptors marks everything but standard input, output and error to be
// closed on exec. The parent does it, because a descriptor that its caller
// forgot to close must not give the command a way out (CVE-2024-21626), and
// init, because the pipes are none of the command's business.
func hideDescriptors() error {
	const first, last = 3, 1<<32 - 1
	err := unix.CloseRange(first, last, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil || err != unix.ENOSYS && err != unix.EINVAL {
		return err
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
