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

	"example.com/go-docker/day3-images/cgroup"
	"example.com/go-docker/day3-images/namespace"
	"example.com/go-docker/day3-images/terminal"
)

// A Process is the parent's side of a container.
type Process struct {
	container *Container
	parent    Parent
	cmd       *exec.Cmd
	pipes     *pipes
	entry     cgroup.Entry
	terminal  *terminal.Terminal // nil without -t
}

// Create makes the namespaces and, in them, init, which waits for Start. If it
// returns an error, nothing of the container is left. Call it on the main
// goroutine: the container dies with the thread that made it.
func Create(c *Container, parent Parent) (_ *Process, err error) {
	p := &Process{container: c, parent: parent, cmd: initCommand(c, parent)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := hideDescriptors(); err != nil {
		return nil, err
	}
	if c.TTY {
		if p.terminal, err = terminal.Open(p.cmd); err != nil {
			return nil, err
		}
		c.Root.Console = p.terminal.Slave.Name()
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
	if err := p.cmd.Start(); err != nil {
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
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// Init makes the cgroup namespace last, because its root is the cgroup
		// that the caller is in at that moment. cgroup_namespaces(7)
		Cloneflags: namespace.All &^ unix.CLONE_NEWCGROUP,
		// In a session of its own, so that ^C in our terminal reaches only us
		// and we forward it once.
		Setsid:  true,
		Setctty: c.TTY && !c.Init, // otherwise init gives the terminal to the command
		// If we die, however we die, the container dies with us.
		Pdeathsig: syscall.SIGKILL,
	}
	return cmd
}

// Start lets init go on and returns once the container's command is running.
func (p *Process) Start() error {
	if err := p.pipes.send(message{*p.container, p.entry}); err != nil {
		return err
	}
	if err := p.untilRunning(); err != nil {
		return err
	}
	if p.terminal != nil {
		p.terminal.Attach(p.parent.Stdin)
	}
	return nil
}

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
			return statusOf(p.cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
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
	if p.terminal != nil {
		p.terminal.Close()
	}
	return err
}
