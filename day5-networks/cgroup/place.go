package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// An Entry is how init gets the command into the container's cgroup. Init
// itself stays outside, as Docker's shim does: what it uses is not charged to
// the container, and the limits cannot hit it.
type Entry struct {
	Version int
	First   int // of the descriptors that init has for it
	Files   int // how many: tasks files, or one directory; 0: it is inside already
}

// Place arranges for a command to be started inside the cgroup, by init: cmd
// gets descriptors, after those that it has already, and init the Entry.
func (g *Cgroup) Place(cmd *exec.Cmd) (_ Entry, err error) {
	if g.Version == 1 {
		g.handed, err = openTasks(g.Cgroups)
	} else {
		g.handed = make([]*os.File, 1)
		g.handed[0], err = os.Open(g.Cgroups[0])
	}
	if err != nil {
		return Entry{}, err
	}
	if g.Version == 2 && !g.init {
		cloneInto(cmd.SysProcAttr, g.handed[0].Fd()) // init becomes the command: it has to be born there itself
		return Entry{}, nil
	}
	first := 3 + len(cmd.ExtraFiles) // as exec.Cmd counts
	cmd.ExtraFiles = append(cmd.ExtraFiles, g.handed...)
	return Entry{g.Version, first, len(g.handed)}, nil
}

// Enter is init's side of Place: the calling thread enters the cgroup, or what
// is started with these attributes will be born there.
func (e Entry) Enter(command *syscall.SysProcAttr) error {
	if e.Files == 0 {
		return nil
	}
	if e.Version == 2 {
		cloneInto(command, uintptr(e.First))
		return nil
	}
	var err error
	for fd := e.First; fd < e.First+e.Files; fd++ {
		err = errors.Join(err, enterTasks(os.NewFile(uintptr(fd), "tasks")))
	}
	return err
}

// Join is Enter for the parent itself, which starts a command in a cgroup that
// has others: exec. It uses what Place has opened, so it works in any root. In
// version 1 the calling thread enters, and the caller has to end it: else Remove
// would take this process for one of the container.
func (g *Cgroup) Join(command *syscall.SysProcAttr) error {
	if g.Version == 2 {
		cloneInto(command, g.handed[0].Fd())
		return nil
	}
	for _, file := range g.handed {
		if err := enterTasks(file); err != nil {
			return err
		}
	}
	return nil
}

// Freezer is the directory in which the container can be paused; "": none.
func (r *Record) Freezer() string {
	if r.Version == 2 {
		return r.Cgroups[0]
	}
	return r.Dirs["freezer"]
}
