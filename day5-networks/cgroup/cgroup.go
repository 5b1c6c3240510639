// Package cgroup makes a container's cgroup with its limits, starts the command
// inside it, and removes it on every path. It grew from rung 09-more-limits and
// adds the other limits of docker run, parents, delegation, and a record of
// what is made, from which the next command removes what a killed one left
// behind.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"example.com/go-docker/day5-networks/hierarchy"
)

// A Config describes the cgroup to make.
type Config struct {
	ID     string // of the container
	Parent string // a cgroup's path from the top; "": wherever we may make cgroups
	Limits Limits
	Init   bool // init stays as the command's parent
}

// A Cgroup limits one container. It is one directory in version 2's only
// hierarchy, or one in each of several hierarchies of version 1.
type Cgroup struct {
	Record
	init        bool
	controllers []string
	handed      []*os.File // what init gets to put the command inside
}

// counted lists the controllers whose files we, or programs in the container,
// read and, in version 1, the one that pauses. Version 2 counts CPU time in every
// cgroup, even without the cpu controller.
var counted = map[int][]string{1: {"memory", "cpu", "cpuacct", "pids", "freezer"}, 2: {"memory", "pids"}}

// Create makes the cgroup and sets its limits before anything runs in it. If it
// returns an error, nothing of the cgroup is left except parents that were
// missing, which stay, as Docker's do. Create first removes the cgroups of
// containers whose owner was killed.
func Create(config Config) (_ *Cgroup, err error) {
	if err := Sweep(); err != nil {
		return nil, err
	}
	g, settings, err := plan(config)
	if err != nil {
		return nil, err
	}
	if err := g.write(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Remove())
		}
	}()
	for _, dir := range slices.Concat(g.parents, g.Cgroups) {
		if err := g.makeDir(dir); err != nil {
			return nil, err
		}
	}
	for _, s := range settings {
		if err := g.set(s); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// plan decides which directories to make and which files to write, but changes
// nothing yet.
func plan(config Config) (*Cgroup, settings, error) {
	version, hierarchies, err := hierarchy.ByController()
	if err != nil {
		return nil, nil, err
	}
	if err := checkPids(config, version); err != nil {
		return nil, nil, err
	}
	settings := config.Limits.settings(version)
	g := &Cgroup{init: config.Init, Record: Record{ID: config.ID, Version: version, Dirs: map[string]string{}}}
	for _, name := range counted[version] {
		if _, ok := hierarchies[name]; ok {
			g.controllers = append(g.controllers, name)
		}
	}
	for _, s := range settings {
		if !slices.Contains(g.controllers, s.controller()) {
			g.controllers = append(g.controllers, s.controller())
		}
	}
	for _, name := range g.controllers {
		h, ok := hierarchies[name]
		if !ok {
			return nil, nil, fmt.Errorf("no %s controller on this machine (cgroup v%d), and a limit needs it: see /proc/cgroups", name, version)
		}
		above, err := h.Chain(config.Parent)
		if err != nil {
			return nil, nil, err
		}
		dir := filepath.Join(above[len(above)-1], "go-docker-"+config.ID)
		g.Dirs[name] = dir
		if !slices.Contains(g.Cgroups, dir) { // controllers may share a hierarchy
			g.Cgroups = append(g.Cgroups, dir)
			g.parents = append(g.parents, above[1:]...)
		}
	}
	return g, settings, nil
}

// ownThreads is more threads than the Go runtime starts before init becomes the
// command.
const ownThreads = 16

// checkPids refuses limits that would hit us and not the command: until the
// command runs, the kernel counts threads of ours (see Place).
func checkPids(config Config, version int) error {
	least := int64(0)
	switch {
	case version == 1 && config.Init:
		least = 2 // init's thread that starts the command, and the command
	case version == 2 && !config.Init:
		least = ownThreads
	}
	if pids := config.Limits.Pids; pids > 0 && pids < least {
		return fmt.Errorf("invalid --pids-limit %d: with cgroup v%d and --init=%v threads of this program count, too: at least %d", pids, version, config.Init, least)
	}
	return nil
}

// makeDir makes one cgroup: mkdir(2) is all it takes.
func (g *Cgroup) makeDir(dir string) error {
	if g.Version == 2 {
		if err := enable(filepath.Dir(dir), g.controllers); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return hierarchy.Explain(err)
	}
	if g.Version == 1 && strings.HasPrefix(g.Dirs["cpuset"]+"/", dir+"/") {
		return inheritCPUSet(dir)
	}
	return nil
}

func (g *Cgroup) set(s setting) error {
	err := hierarchy.Write(filepath.Join(g.Dirs[s.controller()], s.file), s.value)
	if s.optional() && errors.Is(err, fs.ErrNotExist) {
		logrus.Warnf("%s is missing: the kernel does not account for swap here, so it cannot limit it (boot with swapaccount=1)", s.file)
		return nil
	}
	if err == nil && s.file == "cpuset.cpus" && g.Version == 2 {
		return checkEffective(g.Dirs["cpuset"], s.value)
	}
	return err
}

// Remove kills whatever still runs in the cgroup and removes everything that
// was made.
func (g *Cgroup) Remove() error {
	var err error
	for _, file := range g.handed {
		err = errors.Join(err, file.Close())
	}
	return errors.Join(err, g.cleanUp())
}
