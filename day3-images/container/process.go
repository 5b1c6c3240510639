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

// Create makes the namespaces and in them init, which waits for Start. When it
// returns an error, nothing of the container is left. It belongs on the main
// goroutine: the container dies with the thread that has made it.
func Create(c *Container, parent Parent) (_ *Process, err error) {
	p := &Process{container: c, parent: parent}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := hideDescriptors(); err != nil {
		return nil, err
	}
	if p.cmd, err = initCommand(c, parent); err != nil {
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
	if p.entry, err = parent.Cgroup.Place(p.cmd); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process in new namespaces: %w", namespace.Explain(err))
	}
	return p, p.pipes.closeChildEnds()
}

// initCommand builds the child: this same program, told to be init, in new
// namespaces. /proc/self/exe is this program even if its file was renamed,
// replaced or, as with go run, deleted meanwhile.
func initCommand(c *Container, parent Parent) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", "init")
	cmd.Env = []string{} // the container's environment comes over the pipe
	cmd.Stdout, cmd.Stderr = cmp.Or(parent.Stdout, os.Stdout), cmp.Or(parent.Stderr, os.Stderr)
	if parent.Stdin != nil { // a nil *os.File would not be a nil io.Reader
		cmd.Stdin = parent.Stdin
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// The cgroup namespace is made last, by init: its root is the cgroup
		// its maker is in at that moment. cgroup_namespaces(7)
		Cloneflags: c.Namespaces &^ unix.CLONE_NEWCGROUP,
		// A session of its own: ^C in our terminal then reaches only us, and
		// we forward it once.
		Setsid:  true,
		Setctty: c.TTY && !c.Init, // else init gives the terminal to the command
		// When we die, however we die, the container dies.
		Pdeathsig: syscall.SIGKILL,
	}
	var err error
	if c.has(unix.CLONE_NEWUSER) {
		attr := cmd.SysProcAttr
		attr.UidMappings, attr.GidMappings, err = namespace.IDMaps()
		attr.GidMappingsEnableSetgroups = namespace.SetgroupsAllowed()
	}
	return cmd, err
}

// Start has init go on, and returns as soon as the container's command runs.
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

// untilRunning waits for init's word that the command runs. A signal that
// comes earlier is kept for the command: it may be running already, and have
// its own idea of an end. Only a start that hangs is ended by the signal.
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
			if sig != syscall.SIGCONT { // which asks nobody to end
				hangs = time.After(time.Second)
			}
		case <-hangs:
			return StatusError{Status: 128 + int(early[len(early)-1].(syscall.Signal))}
		}
	}
}

// Wait forwards signals until the container has ended, and returns the exit
// status of its command.
func (p *Process) Wait() (status int, err error) {
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	for {
		select {
		case sig := <-p.parent.Signals.caught:
			p.parent.Signals.forward(sig, p.cmd.Process)
		case err := <-ended:
			var exited *exec.ExitError
			if err != nil && !errors.As(err, &exited) {
				return 0, fmt.Errorf("wait for the container's init: %w", err)
			}
			return statusOf(p.cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
		}
	}
}

// Close ends a container that still runs and lets go of what the parent has of
// it. Killing PID 1 of a PID namespace kills everything in it.
// pid_namespaces(7)
func (p *Process) Close() (err error) {
	if p.cmd != nil && p.cmd.Process != nil && p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // fails only when it has already ended
		_ = p.cmd.Wait()         // its status says nothing that the error before does not
	}
	if p.pipes != nil {
		err = p.pipes.close()
	}
	if p.terminal != nil {
		err = errors.Join(err, p.terminal.Close())
	}
	return err
}
