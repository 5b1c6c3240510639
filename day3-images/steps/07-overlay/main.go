// Step 7. New: an overlay. Layers are shared and only read; what this box changes goes to BOX/upper.
// Run: go run ./day3-images/steps/07-overlay /tmp/root /tmp/box rm /bin/vi, then ls -l /tmp/box/upper/bin
// Still wrong: it wants directories for LAYERS, and images have tar archives.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	if len(os.Args) < 4 {
		check(fmt.Errorf("usage: %s TOP:...:BOTTOM BOX COMMAND [ARG...]", os.Args[0]))
	}
	// The box must be furnished between clone and exec, by code that runs inside. Go code cannot
	// run there: clone copies one thread of the program, and Go's runtime needs them all. So the
	// child is this program once more, under the name inside. signal-safety(7)
	if os.Args[0] == "inside" {
		inside(os.Args[1], os.Args[2], os.Args[3:])
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

func inside(layers, box string, command []string) {
	check(syscall.Sethostname([]byte("box")))
	// A new mount namespace is a copy of the old one, and what is mounted on a copy of a shared
	// mount appears on the original too. So make them private first, or the machine gets ours.
	// mount_namespaces(7), SHARED SUBTREES
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	upper, work, root := box+"/upper", box+"/work", box+"/root"
	for _, dir := range []string{upper, work, root} {
		check(os.MkdirAll(dir, 0o755))
	}
	// A file is looked for in upper, then in the layers from left to right. To change one, the
	// kernel copies it to upper first; to delete one, it leaves a mark there: 02-overlay.sh. In
	// work it prepares what must appear in upper all at once. redirect_dir=off: a renamed directory
	// gets copies of its files, not a note in upper of where they are. overlayfs.rst
	// If BOX is on an overlay itself, as / is in a container, this is an "invalid argument".
	check(syscall.Mount("overlay", root, "overlay", 0,
		"lowerdir="+layers+",upperdir="+upper+",workdir="+work+",redirect_dir=off"))
	check(os.Chdir(root))
	// The old root has to be put somewhere: "." twice puts it on top of the new one, where no
	// directory has to be made for it. pivot_root(2), NOTES
	check(syscall.PivotRoot(".", "."))
	// Then take it off. It is in use, for this program is a file on it: MNT_DETACH takes away its
	// paths at once, and unmounts it when it is no longer in use. umount2(2)
	check(syscall.Unmount(".", syscall.MNT_DETACH))
	check(os.Chdir("/"))
	check(os.MkdirAll("/proc", 0o755)) // many images have none
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
