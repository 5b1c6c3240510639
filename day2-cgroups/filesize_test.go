package main

import (
	"os"
	"os/exec"
	"testing"

	"example.com/go-docker/day2-cgroups/container"
)

// If no file may be written, there can be no record, so nothing is made, and
// the attempt leaves nothing behind, see kernelTest.
func TestNoFileMayBeWritten(t *testing.T) {
	kernelTest(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	limited := exec.Command("sh", "-c", `ulimit -f 0; exec "$0" run true`, exe)
	limited.Env = program(t).Env
	refuses(t, limited, container.RuntimeError, "/run/go-docker", "file too large")
}
