package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/go-docker/scripts/internal/ours"
	"github.com/moby/sys/mountinfo"
)

// memoryKernel says where the memory controller is: cgroup "v1" or "v2".
func memoryKernel() (string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return "", fmt.Errorf("find out which cgroup version holds the memory controller: %w", err)
	}
	for _, m := range mounts {
		if m.FSType == "cgroup" && slices.Contains(strings.Split(m.VFSOptions, ","), "memory") {
			return "v1", nil
		}
	}
	return "v2", nil
}

// state is what a page must leave unchanged.
type state map[string]bool

// snapshot lists cgroups of ours, mounts, records, and the files of the tree.
func (r *runner) snapshot() (state, error) {
	s := state{}
	if r.alone {
		if err := s.addMachine(); err != nil {
			return nil, err
		}
	}
	err := filepath.WalkDir(r.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == filepath.Join(r.root, ".git") {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() {
			s[fmt.Sprintf("file %s, %s, %d bytes", path, info.Mode(), info.Size())] = true
		}
		return nil
	})
	return s, err
}

func (s state) addMachine() error {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return fmt.Errorf("list the mounts: %w", err)
	}
	for _, m := range mounts {
		if strings.HasSuffix(m.Mountpoint, "//deleted") {
			continue
		}
		s["mount on "+m.Mountpoint] = true
		if m.FSType != "cgroup" && m.FSType != "cgroup2" {
			continue
		}
		_ = filepath.WalkDir(m.Mountpoint, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "go-docker") {
				s["cgroup "+path] = true
				return fs.SkipDir
			}
			return nil
		})
	}
	for _, pattern := range []string{"/run/go-docker/*", "/tmp/go-docker*", filepath.Join(os.TempDir(), "go-docker*")} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			name := filepath.Base(path)
			if !strings.HasPrefix(name, "go-docker-vm.") && !strings.HasPrefix(name, "go-docker-box-") { // scripts/vm, scripts/leakcheck
				s[path] = true
			}
		}
	}
	return s.withoutOthers()
}

// withoutOthers leaves out what a living process outside this run has made, such
// as another test.
func (s state) withoutOthers() error {
	descendants, err := ours.Descendants()
	if err != nil {
		return err
	}
	machine := ours.Among(descendants)
	for name := range s {
		path, isCgroup := strings.CutPrefix(name, "cgroup ")
		if !isCgroup {
			path = filepath.Base(path) // above it there may be another name: that of a box
		}
		if ours.Name(path) != "" && !strings.HasPrefix(name, "mount on ") && machine.Own(path) {
			delete(s, name)
		}
	}
	return nil
}

// leftovers of a page are our own orphans, which are killed, and whatever is new
// and does not go away. What others make and remove again in the meantime does
// not count.
func (r *runner) leftovers(before state) []string {
	left := orphans()
	var more []string
	first := true
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		now, err := r.snapshot()
		if err != nil {
			return append(left, err.Error())
		}
		var found []string
		for name := range now {
			if !before[name] {
				found = append(found, name)
			}
		}
		for name := range before {
			if !now[name] && strings.HasPrefix(name, "file ") {
				found = append(found, name+" (gone or changed)")
			}
		}
		if !first {
			found = slices.DeleteFunc(found, func(name string) bool { return !slices.Contains(more, name) })
		}
		more, first = found, false
		if len(more) == 0 || time.Now().After(deadline) {
			break
		}
	}
	slices.Sort(more)
	return append(left, more...)
}

// orphans are processes whose parent has ended: as a subreaper (see main) we
// inherit those of the terminals, and nobody else's.
func orphans() (found []string) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		found = nil
		all, err := ours.Processes()
		if err != nil {
			return []string{err.Error()}
		}
		late := time.Now().After(deadline)
		for _, p := range all {
			if p.Parent != os.Getpid() {
				continue
			}
			if got, _ := syscall.Wait4(p.PID, nil, syscall.WNOHANG, nil); got == p.PID {
				continue // it has ended
			}
			found = append(found, p.String())
			if late {
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
		}
		if len(found) == 0 || late {
			return found
		}
	}
}
