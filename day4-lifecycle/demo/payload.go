package demo

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/go-docker/day4-lifecycle/container"
)

// Payload is what the demo's container runs.
func Payload(what string) error {
	if what == "processes" {
		return printProcesses(os.Stdout)
	}
	signals := container.CatchSignals()
	fmt.Println("I am up")
	time.Sleep(50 * time.Millisecond) // what comes out of two pipes at once has no order
	fmt.Fprintln(os.Stderr, "and this is my standard error")
	fmt.Printf("I go: %v\n", <-signals.Caught())
	return nil
}

// printProcesses prints all processes that can be seen from here.
func printProcesses(w io.Writer) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) }) // 2 before 10
	for _, dir := range dirs {
		text, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			continue // it has just ended
		}
		fmt.Fprintf(w, "%4s  %s\n", filepath.Base(dir), bytes.TrimSpace(bytes.ReplaceAll(text, []byte{0}, []byte(" "))))
	}
	return nil
}
