// Enters the UTS and mount namespaces of process $BOX with one thread. The others stay outside.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	pid, err := strconv.Atoi(os.Getenv("BOX"))
	check(err)
	process, err := unix.PidfdOpen(pid, 0)
	check(err)
	runtime.LockOSThread()
	// Threads share their root and current directory. This one gets its own first. unshare(2), CLONE_FS
	check(unix.Unshare(unix.CLONE_FS))
	check(unix.Setns(process, unix.CLONE_NEWUTS|unix.CLONE_NEWNS))
	name, err := os.Hostname()
	check(err)
	fmt.Println("host name", name)
	time.Sleep(time.Minute) // the checker looks at /proc/PID/task/*/root meanwhile
}

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}
