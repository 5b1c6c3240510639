// Step 11. New: a process 1 that does its duties: it forwards signals, reaps orphans, passes the status on.
// Run: go build -o box ./day1-namespaces/steps/11-pid-1 && ./box sh -c 'exit 7'; echo $? (go run makes it 1)
// Still wrong: ^C reaches the command up to three times: the terminal's, process 1's, and by way of it the parent's.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		check(fmt.Errorf("usage: %s COMMAND [ARG...]", os.Args[0]))
	}
	// The box must be furnished between clone and exec, by code that runs inside. Go code cannot
	// run there: clone copies one thread of the program, and Go's runtime needs them all. So the
	// child is this program once more, under the name inside. signal-safety(7)
	if os.Args[0] == "inside" {
		inside(os.Args[1:])
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"inside"}, os.Args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// NEWNS is for mounts. It was the first kind of namespace, hence the name.
		// Of several flags the kernel sees to NEWUSER first, so the new user namespace owns the
		// other three, and its root may do in them what root does. user_namespaces(7)
		Cloneflags: syscall.CLONE_NEWUSER |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		// One line each for /proc/PID/uid_map and gid_map: 0 inside is me outside. Everybody
		// else has no id in there: ls -l calls them nobody. Go itself writes deny to setgroups: 06-user.sh.
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		// Whatever ends us, even kill -9, ends process 1 too, and that ends all others in the box.
		Pdeathsig: syscall.SIGKILL,
	}
	// The signal comes as soon as the thread that started the child ends, even if the process
	// goes on: so keep this thread. prctl(2), PR_SET_PDEATHSIG
	runtime.LockOSThread()
	os.Exit(supervise(cmd))
}

func inside(command []string) {
	check(syscall.Sethostname([]byte("box")))
	// A new mount namespace is a copy of the old one, and what is mounted on a copy of a shared
	// mount appears on the original too. So make them private first, or the next line covers the
	// machine's /proc. mount_namespaces(7), SHARED SUBTREES
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	// A /proc shows the PID namespace of the process that mounts it. pid_namespaces(7)
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	os.Exit(supervise(exec.Command(command[0], command[1:]...)))
}

// supervise runs cmd, forwards signals to it, and returns its exit status as a shell would.
func supervise(cmd *exec.Cmd) int {
	// The kernel drops every signal that process 1 has no handler for, so a command that is
	// process 1 itself survives a SIGTERM. We have handlers for all. pid_namespaces(7)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return 127
		}
		return 126
	}
	for {
		s := <-signals
		if s != syscall.SIGCHLD && s != syscall.SIGURG { // SIGURG is how Go interrupts its own threads
			cmd.Process.Signal(s)
		}
		if status, ended := reap(cmd.Process.Pid); ended {
			return status
		}
	}
}

// reap waits for all children that have ended: the command, and in process 1 the orphans, which
// the kernel hands to it. One SIGCHLD may stand for many of them. signal(7)
func reap(command int) (status int, ended bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR: // a signal came in between: ask again
		case pid <= 0:
			return status, ended
		case pid == command && ws.Signaled():
			status, ended = 128+int(ws.Signal()), true
		case pid == command:
			status, ended = ws.ExitStatus(), true
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
