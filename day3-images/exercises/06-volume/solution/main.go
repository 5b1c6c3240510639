// From step 6: a root of its own, read-only, and $VOLUME in it as /data, where it can write.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	if os.Args[0] == "inside" {
		inside(os.Getenv("ROOT"), []string{"sleep", "60"})
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"inside"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
	}
	check(cmd.Run())
}

func inside(root string, command []string) {
	check(syscall.Sethostname([]byte("box")))
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	// The new root has to be a mount. A directory becomes one by being mounted on itself.
	check(syscall.Mount(root, root, "", syscall.MS_BIND|syscall.MS_REC, ""))
	check(syscall.Mount(os.Getenv("VOLUME"), root+"/data", "", syscall.MS_BIND, ""))
	// With MS_BIND the flags are those of this mount; without it, of the file system, for everybody. mount(2)
	check(syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
	check(os.Chdir(root))
	// The old root has to be put somewhere: "." twice puts it on top of the new one, where no
	// directory has to be made for it. pivot_root(2), NOTES
	check(syscall.PivotRoot(".", "."))
	// Then take it off. It is in use, for this program is a file on it: MNT_DETACH lets it go as
	// soon as it is not, and takes away its paths at once. umount2(2)
	check(syscall.Unmount(".", syscall.MNT_DETACH))
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
