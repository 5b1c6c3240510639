package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// leaking makes cmd start with a directory that its caller forgot to close, as
// descriptors 3 to 100 (CVE-2024-21626).
func leaking(t *testing.T, cmd *exec.Cmd) (_ *exec.Cmd, leaked string) {
	t.Helper()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	for range 98 {
		cmd.ExtraFiles = append(cmd.ExtraFiles, dir)
	}
	return cmd, dir.Name()
}

func TestNoDescriptorLeaks(t *testing.T) {
	for _, init := range []string{"--init=true", "--init=false"} {
		t.Run(init, func(t *testing.T) {
			cmd, leaked := leaking(t, inContainer(t, init, "sh", "-c", "echo ready; exec sleep 1000"))
			c := launch(t, cmd)
			c.says("ready")
			// Init's descriptors can be reached from inside, too, as
			// /proc/1/fd/N.
			if files := descriptors(t, c.init()); slices.Contains(files, leaked) {
				t.Errorf("the first process has the leaked directory open: %q", files)
			}
			// The dynamic loader of sleep opens libraries briefly; a leak
			// stays.
			poll(t, "the command has three descriptors open", func() bool {
				return len(descriptors(t, c.command())) == 3
			})
		})
	}
}

// descriptors returns the files that a process has open.
func descriptors(t *testing.T, pid int) (files []string) {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || links == nil {
		t.Fatalf("the descriptors of %d: %q, %v", pid, links, err)
	}
	for _, link := range links {
		file, _ := os.Readlink(link) // "": one of its threads has just closed it
		files = append(files, file)
	}
	return files
}
