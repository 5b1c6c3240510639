// Step 6, from step 4. New: one more command in a box that runs: open its process, enter its namespaces, start.
// Run: go build -o enter ./day4-lifecycle/steps/06-exec && ./enter /tmp/box ps -e, and ./enter -trap /tmp/box ps -e
// Still wrong: it is in the box's namespaces, but not in its cgroups; and kill -9 of enter leaves the command running.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	trap := len(os.Args) > 1 && os.Args[1] == "-trap"
	if trap {
		os.Args = os.Args[1:]
	}
	if len(os.Args) < 3 {
		check(fmt.Errorf("usage: enter [-trap] DIRECTORY COMMAND [ARG...]"))
	}
	process, err := open(os.Args[1])
	check(err)
	look, seen := make(chan bool), make(chan bool)
	go watch(look, seen)

	// Namespaces belong to a thread, and Go moves a goroutine from thread to thread. So stay on
	// this one; and no other goroutine may ever get it, so never unlock it.
	runtime.LockOSThread()
	if !trap {
		// Threads share one root directory, and to enter a mount namespace changes the root. So the
		// kernel wants a thread that has a root of its own. It only asks for that when the mount
		// namespace is entered alone: with another, it moves every thread. clone(2), CLONE_FS
		check(unix.Unshare(unix.CLONE_FS))
	}
	check(unix.Setns(process, unix.CLONE_NEWUTS|unix.CLONE_NEWPID|unix.CLONE_NEWNS))
	look <- true
	<-seen
	cmd := exec.Command(os.Args[2], os.Args[3:]...) // found, and forked, on this thread: inside
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		check(err)
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	os.Exit(code)
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

// watch is on another thread, which nobody wants in the box.
func watch(look, seen chan bool) {
	runtime.LockOSThread()
	for range look {
		if _, err := os.Stat("/mnt/box"); err == nil {
			fmt.Fprintln(os.Stderr, "another thread is in the box, too")
		}
		seen <- true
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
