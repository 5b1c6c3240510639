package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// An Entry tells init how to start the command in the container's cgroup. Init
// itself stays outside, as Docker's shim does, so that its memory is not
// charged to the container and the limits cannot hit it.
type Entry struct {
	Version int
	First   int // the first of init's descriptors for it
	Files   int // how many: tasks files, or one directory; 0: already inside
}

// Place prepares cmd, which becomes init, to start the command inside the
// cgroup: it appends the descriptors that init needs to cmd's and returns the
// Entry for init.
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
		cloneInto(cmd.SysProcAttr, g.handed[0].Fd()) // init becomes the command, so it must itself be born there
		return Entry{}, nil
	}
	first := 3 + len(cmd.ExtraFiles) // as exec.Cmd counts
	cmd.ExtraFiles = append(cmd.ExtraFiles, g.handed...)
	return Entry{g.Version, first, len(g.handed)}, nil
}

// Enter is init's side of Place: the calling thread enters the cgroup, or a
// process started with these attributes is born there.
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

// Join is Enter for the parent itself, which starts one more command in the
// cgroup (exec). It uses the files that Place opened, so it works in any root.
// In version 1 the calling thread enters, and the caller must end that thread,
// or Remove would take this process for one of the container's.
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

// Freezer returns the directory in which the container can be paused, or "".
func (r *Record) Freezer() string {
	if r.Version == 2 {
		return r.Cgroups[0]
	}
	return r.Dirs["freezer"]
}
