// Started in a chroot, as root. This is all it can see. Get out.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
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
