// Step 5, from day 1's step 9. New: the box gets a root directory, by chroot(2).
// Run: sh day3-images/steps/01-chroot.sh /tmp/root && go run ./day3-images/steps/05-chroot /tmp/root sh
// Still wrong: in there, nsenter -t 1 -m ls -x / lists the machine's files. Its root is hidden, not gone.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	if len(os.Args) < 3 {
		check(fmt.Errorf("usage: %s ROOT COMMAND [ARG...]", os.Args[0]))
	}
	// The box must be furnished between clone and exec, by code that runs inside. Go code cannot
	// run there: clone copies one thread of the program, and Go's runtime needs them all. So the
	// child is this program once more, under the name inside. signal-safety(7)
	if os.Args[0] == "inside" {
		inside(os.Args[1], os.Args[2:])
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

func inside(root string, command []string) {
	check(syscall.Sethostname([]byte("box")))
	// A new mount namespace is a copy of the old one, and what is mounted on a copy of a shared
	// mount appears on the original too. So make them private first, or the machine gets ours.
	// mount_namespaces(7), SHARED SUBTREES
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	// Now every path that starts with / starts at root. The current directory stays where it was,
	// out on the machine, and from there .. leads to the machine's root: so leave it. chroot(2)
	// But the mount namespace still has its old root, and whoever enters a mount namespace gets
	// its root, even from inside: nsenter(1) does this. setns(2)
	check(syscall.Chroot(root))
	check(os.Chdir("/"))
	// A /proc shows the PID namespace of the process that mounts it. pid_namespaces(7)
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	check(os.Setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin")) // the machine's may name other places
	path, err := exec.LookPath(command[0])                    // execve(2) itself does not look in $PATH
	check(err)
	check(syscall.Exec(path, command, os.Environ())) // returns only if it fails
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
