package hierarchy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Write writes a value to a cgroup file. It never creates one: on any other
// file system that would seem to work and limit nothing.
func Write(path, value string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return Explain(err)
	}
	if _, err := file.WriteString(value); err != nil {
		return errors.Join(fmt.Errorf("write %q to %w", value, Explain(err)), file.Close())
	}
	return file.Close()
}

// Gone reports whether err means that the cgroup no longer exists. Reading a
// file that was opened before fails with ENODEV.
func Gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) }

// Explain adds what the kernel means when its error number is misleading.
func Explain(err error) error {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return err
	}
	why := ""
	file := filepath.Base(at.Path)
	switch {
	case errors.Is(err, unix.EROFS):
		why = ": the cgroup file system is mounted read-only"
	case errors.Is(err, unix.EACCES) && file == "cpuset.cpus" && at.Op == "write":
		why = ": the cgroup above does not have all of these CPUs"
	case (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE)) && file == "cpuset.cpus":
		why = ": this machine does not have all of these CPUs, see /sys/devices/system/cpu/online"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		why = ": run as root, or in a cgroup that was delegated to you"
	case errors.Is(err, unix.EBUSY) && file == "cgroup.subtree_control":
		why = ": a cgroup with processes of its own cannot give controllers to its children (no internal processes, cgroups(7)): move them into a child first"
	case errors.Is(err, unix.ENOENT) && file == "cgroup.subtree_control":
		why = ": the cgroup above does not give it this controller: see cgroup.controllers"
	}
	return fmt.Errorf("%s: %w%s", at.Path, at.Err, why)
}
