package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"example.com/go-docker/day4-lifecycle/hierarchy"
)

// Processes lists the container's processes: those in its cgroup and in those
// that it has made below. In version 1 init is among them, for its one thread.
func (r *Record) Processes() (pids []int, err error) {
	err = filepath.WalkDir(r.Cgroups[0], func(path string, e fs.DirEntry, err error) error {
		if hierarchy.Gone(err) {
			return nil // it has just ended
		}
		if err != nil || e.IsDir() || e.Name() != "cgroup.procs" {
			return err
		}
		text, err := os.ReadFile(path)
		if hierarchy.Gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return errors.Join(fmt.Errorf("read %s", path), err)
			}
			pids = append(pids, pid)
		}
		return nil
	})
	return pids, err
}
