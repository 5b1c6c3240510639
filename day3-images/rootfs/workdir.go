package rootfs

import (
	"fmt"
	"os"
	"syscall"

	"example.com/go-docker/day3-images/mountfd"
)

// ensureWorkdir makes the working directory, as Docker does.
func (r *Root) ensureWorkdir(tree mountfd.Tree) error {
	workdir, err := tree.Ensure(r.Workdir, true)
	if err != nil {
		return fmt.Errorf("make the working directory: %w", err)
	}
	return workdir.Close()
}

// EnterWorkdir changes to a directory of the container, after Root.Enter. Getwd
// proves that it is in the container: a directory of the host, reached through
// a descriptor in /proc, would have no path here (CVE-2024-21626).
func EnterWorkdir(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("change to the working directory: %w", err)
	}
	if _, err := syscall.Getwd(); err != nil {
		return fmt.Errorf("the working directory %s is outside the container: %w", dir, err)
	}
	return nil
}
