package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"example.com/go-docker/day3-images/confine"
)

// entryFD is the first descriptor after the two pipes.
const entryFD = reportFD + 1

// An entry is how init gets the command into the container's cgroup. Init
// itself stays outside, as Docker's shim does: what it uses is not charged to
// the container, and the limits cannot hit it.
type entry struct {
	Version int
	Files   int // descriptors from entryFD on: tasks files, or one directory
}

// place arranges for the container to start inside its cgroup.
func (g *cgroup) place(cmd *exec.Cmd, c *Container) (err error) {
	c.Cgroup.Version = g.record.Version
	if g.record.Version == 1 {
		g.handed, err = openTasks(g.record.Cgroups)
	} else {
		g.handed = make([]*os.File, 1)
		g.handed[0], err = os.Open(g.record.Cgroups[0])
	}
	if err != nil {
		return err
	}
	if g.record.Version == 2 && !c.Init {
		cloneInto(cmd.SysProcAttr, g.handed[0].Fd()) // init becomes the command: it has to be born there itself
		return nil
	}
	cmd.ExtraFiles = g.handed
	c.Cgroup.Files = len(g.handed)
	return nil
}

// enter is init's side of place: the calling thread enters the cgroup, or what
// is started with these attributes will be born there.
func (e entry) enter(command *syscall.SysProcAttr) error {
	if e.Files == 0 {
		return nil
	}
	if e.Version == 2 {
		cloneInto(command, entryFD)
		return nil
	}
	files := make([]*os.File, e.Files)
	for i := range files {
		files[i] = os.NewFile(uintptr(entryFD+i), "tasks")
	}
	return enterTasks(files)
}

// forkExec starts the command in the cgroup, from a thread of its own. In
// version 1 a process belongs to the cgroup of the thread that forked it, but
// its memory to that of its main thread, and the OOM killer goes by the main
// thread, too: so that one stays outside, and init with it.
func (e entry) forkExec(path string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
	forked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if err = e.enter(attr.Sys); err == nil {
			err = confine.DropCapabilities() // this thread's, and so the command's
		}
		if err == nil {
			pid, err = syscall.ForkExec(path, args, attr)
		}
		close(forked)
		select {} // the command's death signal fires when this thread ends
	}()
	<-forked
	return pid, err
}
