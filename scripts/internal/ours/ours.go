// Package ours tells what our own run of the programs makes on a machine from what
// other runs make there at the same time. The name says whether something belongs to
// go-docker (scripts/cleanup.sh has the list); whose it is follows from who is alive.
package ours

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	named    = regexp.MustCompile(`(?:^|[/=])(go-docker[^/]*)`)
	pidIn    = regexp.MustCompile(`\.(\d+)(?:\.|$)`)
	pidField = regexp.MustCompile(`"pid": *(\d+)`)
	idIn     = regexp.MustCompile(`^go-docker-([0-9a-f]{12})`)
)

// Name is the uppermost part of a path that is a name of ours, or "".
func Name(path string) string {
	if m := named.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}

// Others are all processes except this one and its descendants.
type Others struct{ ours map[int]bool }

// Among returns the others, given our descendants.
func Among(descendants []Process) Others {
	ours := map[int]bool{os.Getpid(): true}
	for _, p := range descendants {
		ours[p.PID] = true
	}
	return Others{ours}
}

// Own tells whether one of the others, who lives, owns the file, directory,
// cgroup or hierarchy of this name: its process id is in the name, it has the
// record of the container, or it is in the cgroup.
func (o Others) Own(path string) bool {
	name := Name(path)
	if m := idIn.FindStringSubmatch(name); m != nil {
		if o.record(m[1]) {
			return true
		}
	} else if m := pidIn.FindStringSubmatch(name); m != nil {
		if o.lives(m[1]) {
			return true
		}
	}
	return o.inhabit(path)
}

// inhabit tells whether one of them is in the cgroup. A 0 is a process outside
// of our PID namespace. What cannot be read is no cgroup, or a threaded one.
func (o Others) inhabit(dir string) bool {
	text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && !o.ours[pid] {
			return true
		}
	}
	return false
}

// record tells whether one of them has a record of the container with this id:
// in our own mount namespace one that lives and whose process id is in it, in
// another any, because nobody leaves a mount namespace to us.
func (o Others) record(id string) bool {
	record := "/run/go-docker/" + id + ".json"
	text, _ := os.ReadFile(record)
	if m := pidField.FindSubmatch(text); m != nil && o.lives(string(m[1])) {
		return true
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	own, _ := os.Readlink("/proc/self/ns/mnt")
	seen := map[string]bool{own: true}
	for _, dir := range processes {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		namespace, err := os.Readlink(dir + "/ns/mnt")
		if err != nil || seen[namespace] || o.ours[pid] {
			continue // an error: it has ended
		}
		seen[namespace] = true
		if _, err := os.Stat(dir + "/root" + record); err == nil {
			return true
		}
	}
	return false
}

// lives tells whether this is the process id of one of them.
func (o Others) lives(number string) bool {
	pid, err := strconv.Atoi(number)
	return err == nil && pid > 0 && !o.ours[pid] && unix.Kill(pid, 0) != unix.ESRCH
}
