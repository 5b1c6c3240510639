// Step 4, from day 1's step 9. New: a box that outlives its caller. Another process, the shim, is its parent.
// Run: go build -o detached ./day4-lifecycle/steps/04-detached && ./detached /tmp/box sh -c 'date; sleep 60'
// Still wrong: the log, /tmp/box/log, says neither when a line came nor whether from stdout or from stderr.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pdeathsig is about threads: the one that forks, and in the box the one that executes. Go would change them.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) < 3 {
		check(fmt.Errorf("usage: %s DIRECTORY COMMAND [ARG...]", os.Args[0]))
	}
	switch os.Args[0] {
	case "shim":
		shim(os.Args[1], os.Args[2:])
	case "inside":
		inside(os.Args[2:])
	default:
		client(os.Args[1], os.Args[2:])
	}
}

// client starts the shim, waits until the command runs, and goes away.
func client(box string, command []string) {
	check(os.Mkdir(box, 0o755)) // of two clients that want one name, the kernel lets one win
	news, tell, err := os.Pipe()
	check(err)
	cmd := again("shim", box, command, tell)
	// A session of its own has no terminal: no ^C and no hangup reaches it. Its stdin, stdout and
	// stderr are /dev/null: exec.Cmd does that unless told otherwise. setsid(2), credentials(7)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(cmd.Start())
	tell.Close()
	// End of file: everybody who could bring bad news has closed the pipe.
	bad, err := io.ReadAll(news)
	check(err)
	if len(bad) > 0 {
		cmd.Wait() // then nobody writes there any more
		os.RemoveAll(box)
		os.Stderr.Write(bad)
		os.Exit(1)
	}
	fmt.Println("running, shim", cmd.Process.Pid)
}

// shim is the parent of the box, and so the only one who can learn its exit status.
func shim(box string, command []string) {
	complaints = os.NewFile(3, "news")
	log, err := os.OpenFile(box+"/log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	check(err)
	pid, err := os.Create(box + "/pid")
	check(err)
	// While the lock is held we live: whatever ends us, the kernel then lets go of it. flock(2)
	check(unix.Flock(int(pid.Fd()), unix.LOCK_EX))
	cmd := again("inside", box, command, complaints)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL, // a box without a shim would be a box without books
	}
	check(cmd.Start())
	fmt.Fprintln(pid, cmd.Process.Pid)
	complaints.Close()
	// The number is the box's until somebody has asked for its status: so wait, but leave the
	// status there, strike out the number, and then ask. waitid(2), WNOWAIT
	check(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
	check(pid.Truncate(0))
	cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	check(os.WriteFile(box+"/status", fmt.Appendln(nil, code), 0o644))
}

// inside is process 1 of the box.
func inside(command []string) {
	complaints = os.NewFile(3, "news")
	syscall.CloseOnExec(3) // so success needs no words: execve closes the pipe
	check(syscall.Sethostname([]byte("box")))
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	check(syscall.Mount("box", "/mnt", "tmpfs", 0, ""))
	check(os.Mkdir("/mnt/box", 0o755)) // step 6 looks for it
	path, err := exec.LookPath(command[0])
	check(err)
	check(syscall.Exec(path, command, os.Environ()))
}

// again makes a command of this program under another name, with news as its descriptor 3.
func again(name, box string, command []string, news *os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{name, box}, command...)
	cmd.ExtraFiles = []*os.File{news}
	return cmd
}

var complaints = os.Stderr // for the shim and inside: the pipe to the client

func check(err error) {
	if err != nil {
		fmt.Fprint(complaints, "error: ", err, "\n")
		os.Exit(1)
	}
}
