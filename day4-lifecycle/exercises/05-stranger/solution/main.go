// Ends process $PID with SIGTERM, as soon as there is a file named go. It is the process that had
// this number at the beginning, or nobody.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	pid, err := strconv.Atoi(os.Getenv("PID"))
	check(err)
	process, err := unix.PidfdOpen(pid, 0) // from now on it is this one process
	check(err)
	fmt.Println("ready")
	for {
		if _, err := os.Stat("go"); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	check(unix.PidfdSendSignal(process, unix.SIGTERM, nil, 0))
}

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}
