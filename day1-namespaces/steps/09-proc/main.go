// Step 9. New: the program starts itself again, inside, and furnishes the box before the command.
// Run: go run ./day1-namespaces/steps/09-proc sh, as root, then hostname; echo $$; ps -e
// Still wrong: only root may. Others get "operation not permitted".
package main

import (
	"fmt"
	"os"
	"os/exec"
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
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// NEWNS is for mounts. It was the first kind of namespace, hence the name.
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
	}
	check(cmd.Run())
}

func inside(command []string) {
	check(syscall.Sethostname([]byte("box")))
	// A new mount namespace is a copy of the old one, and what is mounted on a copy of a shared
	// mount appears on the original too. So make them private first, or the next line covers the
	// machine's /proc. mount_namespaces(7), SHARED SUBTREES
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	// A /proc shows the PID namespace of the process that mounts it. pid_namespaces(7)
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	path, err := exec.LookPath(command[0]) // execve(2) itself does not look in $PATH
	check(err)
	check(syscall.Exec(path, command, os.Environ())) // returns only if it fails
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
