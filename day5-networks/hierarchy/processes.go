package hierarchy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Processes lists the processes in a cgroup and in all cgroups below it.
func Processes(dir string) (pids []int, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if Gone(err) {
			return nil // it has just ended
		}
		if err != nil || e.IsDir() || e.Name() != "cgroup.procs" {
			return err
		}
		text, err := os.ReadFile(path)
		if Gone(err) {
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
