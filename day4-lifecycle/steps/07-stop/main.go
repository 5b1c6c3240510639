// Step 7. New: stop: ask with SIGTERM, wait, insist with SIGKILL; and read in the books how it ended.
// Run: go build -o stop ./day4-lifecycle/steps/07-stop && ./stop /tmp/box 2
// Still wrong: the box's process 1 is the command, which has no handler and never hears SIGTERM. Day 1's step 11 does.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) < 3 {
		check(fmt.Errorf("usage: stop DIRECTORY SECONDS"))
	}
	box := os.Args[1]
	seconds, err := strconv.Atoi(os.Args[2])
	check(err)
	process, err := open(box)
	check(err)
	check(unix.PidfdSendSignal(process, unix.SIGTERM, nil, 0))
	if !ends(process, time.Duration(seconds)*time.Second) {
		fmt.Println("no answer to SIGTERM")
		check(unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0))
	}
	// The box ends before the shim has written so down. It has when the lock is free.
	pid, err := os.Open(box + "/pid")
	check(err)
	check(unix.Flock(int(pid.Fd()), unix.LOCK_SH))
	status, err := os.ReadFile(box + "/status")
	if os.IsNotExist(err) { // the shim was killed, and the box died of that: Pdeathsig
		status, err = []byte("137\n"), nil
	}
	check(err)
	fmt.Print("exit status ", string(status))
	check(os.RemoveAll(box))
}

// ends waits until the process ends, which makes its pidfd readable. pidfd_open(2)
func ends(pidfd int, limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if err != unix.EINTR { // Go interrupts its own threads, with SIGURG
			check(err)
			return n > 0
		}
	}
}

// open returns a pidfd of the box's process 1: one process, not a number that another may get.
func open(box string) (pidfd int, err error) {
	file, err := os.Open(box + "/pid")
	if err != nil {
		return -1, err
	}
	defer file.Close()
	var pid, after int
	fmt.Fscan(file, &pid)
	pidfd, err = unix.PidfdOpen(pid, 0)
	// First opened, then asked whether the number was the box's: the shim lives, and it has not
	// struck the number out.
	file.Seek(0, 0)
	fmt.Fscan(file, &after)
	if unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil || pid == 0 || after != pid {
		return -1, fmt.Errorf("%s does not run", box)
	}
	return pidfd, err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
