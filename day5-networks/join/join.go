// Package join starts one more command in a running container (exec). It grew
// from rung 06-exec and adds the container's cgroup, capabilities, user and
// limits, and threads that end afterwards.
package join

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/confine"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/namespace"
	"example.com/go-docker/day5-networks/rootfs"
)

// A Target is a running container.
type Target struct {
	*container.Container
	Init   int            // a descriptor for init, pidfd_open(2); StartWhile closes it
	Cgroup *cgroup.Cgroup // must be neither removed nor frozen while Held is locked

	Held   sync.Locker     // locked as long as a thread of ours is in the cgroup
	Gone   <-chan struct{} // is closed, with Held locked, when the container has ended
	Paused func() bool     // is called with Held locked
	held   bool
}

// A Command is what to run in a Target.
type Command struct {
	Args      container.Strings
	Env       container.Strings // added to the container's
	User, Dir string            // "": the container's
	TTY       bool              // standard input, output and error are a terminal of its own
	Rows      uint16            // of that terminal
	Columns   uint16
}

// Start starts a command in the container: in its namespaces, root and cgroup,
// with its capabilities and limits. The caller waits for the process and closes
// the master of its terminal, if there is one. If the command itself cannot be
// run, the error is a container.StatusError. If it got as far as the cgroup, Held
// stays locked: see StartWhile.
func (t *Target) Start(c Command, stdio [3]*os.File) (process *os.Process, master *os.File, err error) {
	var thread int
	started := make(chan struct{})
	go func() {
		defer close(started)
		// Never unlocked, so that the thread ends with this goroutine: no other
		// goroutine may ever run on a thread that is in the container.
		runtime.LockOSThread()
		thread = unix.Gettid()
		process, master, err = t.startInside(c, stdio)
	}()
	<-started
	for unix.Tgkill(os.Getpid(), thread, 0) == nil { // until the thread has left the cgroup
		time.Sleep(20 * time.Microsecond)
	}
	return process, master, err
}

// startInside moves this thread into the container and forks.
func (t *Target) startInside(c Command, stdio [3]*os.File) (_ *os.Process, master *os.File, err error) {
	if err := t.enter(); err != nil {
		return nil, nil, err
	}
	if c.TTY {
		var slave *os.File
		if master, slave, err = openTerminal(c); err != nil {
			return nil, nil, err
		}
		defer slave.Close()
		defer func() {
			if err != nil {
				err = errors.Join(err, master.Close())
			}
		}()
		stdio = [3]*os.File{slave, slave, slave}
	}
	process, err := t.startThere(c, stdio)
	return process, master, err
}

// enter moves this thread into the container.
func (t *Target) enter() error {
	// All threads of a process share one root directory, and setns(2) into a
	// mount namespace would change it for all of them. So this thread gets its
	// own. clone(2), CLONE_FS
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("give a thread a root of its own: %w", err)
	}
	unix.Umask(0o022) // this thread's, too: Docker's, whatever our caller's
	// All namespaces at once, or none. Init is in the host's cgroup namespace,
	// because the command makes its own.
	if err := unix.Setns(t.Init, namespace.All&^unix.CLONE_NEWCGROUP); err != nil {
		if errors.Is(err, unix.ESRCH) {
			err = errEnded
		}
		return fmt.Errorf("enter the container's namespaces: %w", err)
	}
	return nil
}

// startThere starts the command from a thread that is inside.
func (t *Target) startThere(c Command, stdio [3]*os.File) (*os.Process, error) {
	if err := rootfs.EnterWorkdir(cmp.Or(c.Dir, t.Root.Workdir)); err != nil {
		return nil, container.StatusError{Status: container.CannotInvoke, Err: err}
	}
	attr := &syscall.SysProcAttr{
		Setsid: true, Setctty: c.TTY,
		// After the fork, so that the root of the namespace is the container's
		// cgroup.
		Unshareflags: unix.CLONE_NEWCGROUP,
		Ptrace:       len(t.Rlimits) > 0,
	}
	inside := &container.Container{Args: c.Args, Env: merge(t.Env, c.Env), TTY: c.TTY}
	var err error
	if attr.Credential, inside.Env, err = confine.LookUpUser(cmp.Or(c.User, t.User), inside.Env); err != nil {
		return nil, container.StatusError{Status: container.CannotInvoke, Err: err}
	}
	if c.TTY && attr.Credential != nil { // give it to the user, as login(1) does
		if err := stdio[0].Chown(int(attr.Credential.Uid), -1); err != nil {
			return nil, err
		}
	}
	path, err := inside.LookPath()
	if err != nil {
		return nil, container.CannotRun(c.Args[0], err)
	}
	touch(path)
	if err := t.hold(); err != nil {
		return nil, err
	}
	if err := t.Cgroup.Join(attr); err != nil {
		return nil, err
	}
	return t.fork(inside, path, attr, stdio)
}

func (t *Target) fork(c *container.Container, path string, attr *syscall.SysProcAttr, stdio [3]*os.File) (*os.Process, error) {
	if err := confine.DropCapabilities(); err != nil {
		return nil, err
	}
	process, err := os.StartProcess(path, c.Args, &os.ProcAttr{Env: c.Env, Files: stdio[:], Sys: attr})
	switch {
	case errors.Is(err, syscall.ENOMEM): // clone(2): the PID namespace's init has ended
		return nil, errEnded
	case err != nil:
		var bare syscall.Errno
		if errors.As(err, &bare) {
			err = bare
		}
		return nil, container.CannotStart(c, err)
	case attr.Ptrace:
		if err := limitAndRelease(process.Pid, attr.Credential, t.Rlimits); err != nil && !errors.Is(err, unix.ESRCH) { // ESRCH: it was killed, and that is its status
			_ = process.Kill()
			_, errWait := process.Wait() // a zombie would keep the PID namespace alive
			return nil, errors.Join(err, errWait)
		}
	}
	return process, nil
}

// limitAndRelease sets the limits of a process that waits for its tracer after
// execve(2), and lets it run. If we set our own for it to inherit, as init
// does, they would for a moment limit the shim. The error Is unix.ESRCH if
// something has killed the process meanwhile. ptrace(2)
func limitAndRelease(pid int, user *syscall.Credential, limits []confine.Rlimit) error {
	// Its status is for whoever waits for its end. waitid(2), WNOWAIT
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		return fmt.Errorf("wait for the command to be executed: %w", err)
	}
	// prlimit(2) requires CAP_SYS_RESOURCE or the same user. This thread can
	// become that user, because to the kernel each thread has a user of its
	// own, and it ends soon.
	if user != nil {
		_, _, err := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(user.Gid), uintptr(user.Gid), uintptr(user.Gid))
		if err == 0 {
			_, _, err = unix.RawSyscall(unix.SYS_SETRESUID, uintptr(user.Uid), uintptr(user.Uid), uintptr(user.Uid))
		}
		if err != 0 {
			return fmt.Errorf("become user %d: %w", user.Uid, err)
		}
	}
	for _, l := range limits {
		if err := unix.Prlimit(pid, l.Resource, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil); err != nil {
			return fmt.Errorf("set limit %d of getrlimit(2) to %d:%d: %w", l.Resource, int64(l.Soft), int64(l.Hard), err)
		}
	}
	return syscall.PtraceDetach(pid)
}

// merge adds variables to an environment, replacing those of the same name.
func merge(env, more []string) []string {
	env = slices.Clone(env) // another exec may be reading it
	for _, e := range more {
		name, _, _ := strings.Cut(e, "=")
		env = append(slices.DeleteFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") }), e)
	}
	return env
}
