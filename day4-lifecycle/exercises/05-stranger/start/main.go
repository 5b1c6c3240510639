// Ends process $PID with SIGTERM, as soon as there is a file named go. Until then much can happen.
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
	fmt.Println("ready")
	for {
		if _, err := os.Stat("go"); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	check(unix.Kill(pid, unix.SIGTERM))
}

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}
