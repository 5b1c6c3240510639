package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"example.com/go-docker/day3-images/rootfs"
	"golang.org/x/sys/unix"
)

// A process is the parent's side of a running container.
type process struct {
	cmd      *exec.Cmd
	signals  *signals
	terminal *terminal // nil without -t
	cgroup   *cgroup
}

// run runs the container to its end and returns its command's exit status.
func run(c *Container) (int, error) {
	p, err := start(c)
	if err != nil {
		return 0, err
	}
	status, err := p.wait()
	return status, errors.Join(err, p.close())
}

// start returns as soon as the container's command is running. When it returns
// an error, nothing of the container is left.
func start(c *Container) (_ *process, err error) {
	p := &process{signals: c.signals}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.abort())
		}
	}()
	if err := hideDescriptors(); err != nil {
		return nil, err
	}
	if p.cmd, err = initCommand(c); err != nil {
		return nil, err
	}
	if p.cgroup, err = createCgroup(c); err != nil {
		return nil, err
	}
	if err := p.cgroup.place(p.cmd, c); err != nil {
		return nil, err
	}
	c.Root.Cgroups = rootfs.Cgroups{Version: p.cgroup.record.Version, Dirs: p.cgroup.record.Dirs}
	if c.TTY {
		if p.terminal, err = openTerminal(p.cmd); err != nil {
			return nil, err
		}
		c.Root.Console = p.terminal.slave.Name()
	}
	pipes, err := openPipes(p.cmd)
	if err != nil {
		return nil, err
	}
	defer pipes.close()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process in new namespaces: %w", explainClone(err))
	}
	pipes.closeChildEnds()
	if err := pipes.send(c); err != nil {
		return nil, err
	}
	if err := p.untilRunning(pipes); err != nil {
		return nil, err
	}
	if p.terminal != nil {
		p.terminal.attach(c.Interactive)
	}
	return p, nil
}

// initCommand builds the child: this same program, told to be init, in new
// namespaces. /proc/self/exe is this program even if its file was renamed,
// replaced or, as with go run, deleted meanwhile.
func initCommand(c *Container) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", "init")
	cmd.Env = []string{} // the container's environment comes over the pipe
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
	}
	if c.Interactive {
		cmd.Stdin = os.Stdin
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
	if c.has(unix.CLONE_NEWUSER) {
		var err1, err2 error
		attr := cmd.SysProcAttr
		attr.UidMappings, err1 = idMappings("/proc/self/uid_map", os.Geteuid())
		attr.GidMappings, err2 = idMappings("/proc/self/gid_map", os.Getegid())
		attr.GidMappingsEnableSetgroups = os.Geteuid() == 0
		return cmd, errors.Join(err1, err2)
	}
	return cmd, nil
}

// untilRunning waits for init's word that the command runs. A signal that
// comes earlier is kept for the command: it may be running already, and have
// its own idea of an end. Only a start that hangs is ended by the signal.
func (p *process) untilRunning(pipes *pipes) error {
	report := make(chan error, 1)
	go func() { report <- pipes.readReport() }()
	var early []os.Signal
	var hangs <-chan time.Time
	for {
		select {
		case err := <-report:
			for _, sig := range early {
				p.signals.forward(sig, p.cmd.Process)
			}
			return err
		case sig := <-p.signals.caught:
			early = append(early, sig)
			if sig != syscall.SIGCONT { // which asks nobody to end
				hangs = time.After(time.Second)
			}
		case <-hangs:
			return statusError{status: 128 + int(early[len(early)-1].(syscall.Signal))}
		}
	}
}

// wait forwards signals until the container has ended.
func (p *process) wait() (int, error) {
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	for {
		select {
		case sig := <-p.signals.caught:
			p.signals.forward(sig, p.cmd.Process)
		case err := <-ended:
			var exited *exec.ExitError
			if err != nil && !errors.As(err, &exited) {
				return 0, fmt.Errorf("wait for the container's init: %w", err)
			}
			return statusOf(p.cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
		}
	}
}

// abort ends a container that did not start. Killing PID 1 of a PID namespace
// kills everything in it. pid_namespaces(7)
func (p *process) abort() error {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Kill() // fails only when it has already ended
		_ = p.cmd.Wait()         // its status says nothing that start's error does not
	}
	return p.close()
}

func (p *process) close() error {
	if p.terminal != nil {
		p.terminal.close()
	}
	if p.cgroup == nil {
		return nil
	}
	return p.cgroup.remove()
}
