// Step 10. New: everybody may: a user namespace makes you root inside, and outside you stay who you are.
// Run: go run ./day1-namespaces/steps/10-no-root sh, then id; cat /proc/self/uid_map; mknod disk b 8 0
// Still wrong: sh -c 'exit 7' ends with status 1, and kill -TERM ends this program but not the box.
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
		// Of several flags the kernel sees to NEWUSER first, so the new user namespace owns the
		// other three, and its root may do in them what root does. user_namespaces(7)
		Cloneflags: syscall.CLONE_NEWUSER |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		// One line each for /proc/PID/uid_map and gid_map: 0 inside is me outside. Everybody
		// else has no id in there: ls -l calls them nobody. Go itself writes deny to setgroups: 06-user.sh.
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
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
