package container

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/namespace"
)

// A Process is the parent's side of a container.
type Process struct {
	container *Container
	parent    Parent
	cmd       *exec.Cmd
	pipes     *pipes
	entry     cgroup.Entry
	pidfd     int // init's, pidfd_open(2)
}

// Create makes the namespaces and, in them, init, which waits for Prepare. If it
// returns an error, nothing of the container is left. Call it on the main
// goroutine: the container dies with the thread that made it.
func Create(c *Container, parent Parent) (_ *Process, err error) {
	p := &Process{container: c, parent: parent, cmd: initCommand(c, parent), pidfd: -1}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := HideDescriptors(); err != nil {
		return nil, err
	}
	if c.TTY {
		p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = parent.Terminal, parent.Terminal, parent.Terminal
		c.Root.Console = parent.Terminal.Name()
	}
	if p.pipes, err = openPipes(p.cmd); err != nil {
		return nil, err
	}
	// As long as we held the write end of report ourselves, we would never read
	// end of file from it.
	for _, end := range p.cmd.ExtraFiles {
		defer end.Close()
	}
	if p.entry, err = parent.Cgroup.Place(p.cmd); err != nil {
		return nil, err
	}
	p.cmd.SysProcAttr.PidFD = &p.pidfd
	if err := namespace.InNet(parent.Netns, p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start a process in new namespaces: %w", namespace.Explain(err))
	}
	return p, nil
}

// initCommand builds the child: this same program, told to be init, in new
// namespaces. /proc/self/exe is this program even if its file has since been
// renamed, replaced or, as go run does, deleted.
func initCommand(c *Container, parent Parent) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "init")
	cmd.Env = []string{} // the container's environment comes over the pipe
	cmd.Stdout, cmd.Stderr = cmp.Or(parent.Stdout, os.Stdout), cmp.Or(parent.Stderr, os.Stderr)
	if parent.Stdin != nil { // a nil *os.File would not be a nil io.Reader
		cmd.Stdin = parent.Stdin
	}
	// Init makes the cgroup namespace last, because its root is the cgroup that
	// the caller is in at that moment. cgroup_namespaces(7)
	spaces := uintptr(namespace.All &^ unix.CLONE_NEWCGROUP)
	if c.SharesNet {
		spaces &^= unix.CLONE_NEWNET
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: spaces,
		// In a session of its own, so that ^C in our terminal reaches only us
		// and we forward it once.
		Setsid:  true,
		Setctty: c.TTY && !c.Init, // otherwise init gives the terminal to the command
		// If we die, however we die, the container dies with us.
		Pdeathsig: syscall.SIGKILL,
	}
	return cmd
}

// Prepare lets init make the container's root, and does not wait for it: it takes
// as long as connecting the container, which its caller can do meanwhile.
func (p *Process) Prepare() error { return p.pipes.send(message{*p.container, p.entry}) }

// Start lets init run the container's command, and returns once it is running.
func (p *Process) Start() error {
	// If init has failed by now, untilRunning returns its report.
	if err := p.pipes.send(true); err != nil && !errors.Is(err, unix.EPIPE) {
		return err
	}
	return p.untilRunning()
}

// PID is init's process id as the parent sees it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// PIDFD returns a descriptor for init, pidfd_open(2), which the caller closes.
func (p *Process) PIDFD() (int, error) {
	return unix.FcntlInt(uintptr(p.pidfd), unix.F_DUPFD_CLOEXEC, 0)
}

// Signal sends a signal to init, which passes it on if Forwards says so.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// untilRunning waits for init to report that the command is running. A signal
// that arrives earlier is kept for the command, which may already be running
// and have its own way of handling it. The signal ends only a start that hangs.
func (p *Process) untilRunning() error {
	report := make(chan error, 1)
	go func() { report <- p.pipes.readReport() }()
	var early []os.Signal
	var hangs <-chan time.Time
	for {
		select {
		case err := <-report:
			for _, sig := range early {
				p.parent.Signals.forward(sig, p.cmd.Process)
			}
			return err
		case sig := <-p.parent.Signals.caught:
			early = append(early, sig)
			if sig != syscall.SIGCONT { // which does not ask anything to end
				hangs = time.After(time.Second)
			}
		case <-hangs:
			return StatusError{Status: 128 + int(early[len(early)-1].(syscall.Signal))}
		}
	}
}

// Wait forwards signals until the container ends, and returns its command's
// exit status.
func (p *Process) Wait() (status int, err error) {
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	for {
		select {
		case sig := <-p.parent.Signals.caught:
			p.parent.Signals.forward(sig, p.cmd.Process)
		case err := <-ended:
			if p.cmd.ProcessState == nil {
				return 0, fmt.Errorf("wait for the container's init: %w", err)
			}
			return StatusOf(p.cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
		}
	}
}

// Close kills the container if it is still running and releases the parent's
// resources for it. Killing PID 1 of a PID namespace kills everything in it.
// pid_namespaces(7)
func (p *Process) Close() (err error) {
	if p.cmd.Process != nil && p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // fails only if it has already ended
		_ = p.cmd.Wait()         // its status adds nothing to the earlier error
	}
	if p.pipes != nil {
		err = p.pipes.close()
	}
	if p.pidfd >= 0 {
		err = errors.Join(err, unix.Close(p.pidfd))
		p.pidfd = -1
	}
	return err
}

// Netns opens the container's network namespace.
func (p *Process) Netns() (*os.File, error) { return p.open("ns/net", unix.O_RDONLY) }

// Root opens the container's root, as its processes see it.
func (p *Process) Root() (*os.File, error) { return p.open("root", unix.O_PATH|unix.O_DIRECTORY) }

// open opens a file in init's directory in /proc.
func (p *Process) open(name string, flags int) (*os.File, error) {
	file, err := os.OpenFile(fmt.Sprintf("/proc/%d/%s", p.PID(), name), flags, 0)
	if err != nil {
		return nil, err
	}
	// Checked only after opening: if init is still alive now, the process id
	// was init's when we used it.
	if err := unix.PidfdSendSignal(p.pidfd, 0, nil, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("the container has just ended: %w", err), file.Close())
	}
	return file, nil
}
