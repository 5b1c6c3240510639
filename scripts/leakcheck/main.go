// Leakcheck runs a command in a box of its own and fails when the command left
// something behind.
//
//	leakcheck [--ignore REGEXP]... [--keep DIRECTORY]... -- COMMAND [ARG...]
//
// The box is a mount, a network and an IPC namespace. /tmp and /dev/shm are
// empty in it, /run has no record of a container, TMPDIR is /tmp, and
// GO_DOCKER_ROOT names an empty store; lo is up and there is no other link. So
// whatever is in there afterwards is the command's: files, mounts, links, nft
// tables, IP forwarding, SysV IPC objects, namespaces that a bind mount keeps
// alive. Mounts are compared
// both ways: a mount that is gone is damage too. The current directory, and
// what --keep names, stays in its place even if that is below /tmp.
//
// Processes are ours if they are our descendants, and leakcheck is a subreaper
// (PR_SET_CHILD_SUBREAPER, prctl(2)), so no orphan gets away.
//
// Cgroups cannot be boxed: a cgroup namespace would change what the tests are
// about. They are known by the names that our programs give, go-docker-*, and
// one does not count if it was there before, or if its owner, be it a process
// whose number is in the name, a process in it, or the one with a record of it
// in another mount namespace, is alive or was during the run and is no
// descendant of ours.
//
// Whoever may not make namespaces gets a TMPDIR, a store and an XDG_RUNTIME_DIR
// of their own, and entries of /tmp are judged by name and owner as cgroups are.
// There, SysV IPC objects do not count: nothing tells whose they are.
//
// Each leak is one line on standard error, such as
//
//	leakcheck: cgroup /sys/fs/cgroup/memory/go-docker-0123456789ab
//
// What is there when the command ends must be gone 10 seconds later; the kernel
// and dying processes need a part of that time. Leftover processes are then
// killed, the box is removed, and scripts/cleanup.sh removes cgroups. --ignore
// excludes what a regular expression finds in the line as printed.
//
// Exit status: 1 for a leak; otherwise the command's own, 128+n when signal n
// killed it, 127 when it was not found, 126 when it could not be executed, 125
// when leakcheck itself failed. SIGINT, SIGTERM and SIGHUP are passed on.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	exitLeak         = 1
	exitOwnError     = 125
	exitCannotInvoke = 126
	exitNotFound     = 127
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Println(usage)
		return 0
	}
	if err != nil {
		return fail(err)
	}
	if os.Getenv(boxEnv) == "" {
		return fail(enterBox())
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fail(fmt.Errorf("become a subreaper: %w", err))
	}
	b, err := openBox(o.keep)
	if err != nil {
		return fail(err)
	}
	status := judge(b, o)
	if err := b.close(); err != nil {
		say("%v", err)
	}
	return status
}

// judge runs the command in the box and looks at what is left.
func judge(b *sandbox, o options) int {
	before, err := takeSnapshot(b)
	if err != nil {
		return fail(err)
	}
	others := watchOthers()
	status, err := runCommand(o.command)
	if err != nil {
		say("%v", err) // and look for leaks all the same
	}
	leaks, err := before.leaks(b, others(), o.ignore)
	if err != nil {
		return fail(err)
	}
	for _, l := range leaks {
		say("%s", l)
	}
	if err := killChildren(before.pids()); err != nil {
		say("%v", err)
	}
	if len(leaks) == 0 {
		return status
	}
	say("%d left behind by %q, which exited with status %d", len(leaks), o.command, status)
	return exitLeak
}

const usage = "usage: leakcheck [--ignore REGEXP]... [--keep DIRECTORY]... -- COMMAND [ARG...]"

type options struct {
	ignore  []*regexp.Regexp
	keep    []string
	command []string
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("leakcheck", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it, on one line
	flags.Func("ignore", "", func(s string) error {
		re, err := regexp.Compile(s)
		o.ignore = append(o.ignore, re)
		return err
	})
	flags.Func("keep", "", func(s string) error {
		dir, err := filepath.Abs(s)
		o.keep = append(o.keep, dir)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() == 0 {
		return options{}, errors.New(usage)
	}
	o.command = flags.Args()
	return o, nil
}

// runCommand returns the exit status as a shell would give it. The error, if
// any, is for the user: the status already accounts for it.
func runCommand(command []string) (int, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return exitNotFound, err
		}
		return exitCannotInvoke, err
	}
	done := make(chan struct{})
	forwarded := make(chan struct{})
	go func() {
		defer close(forwarded)
		forward(signals, cmd.Process, done)
	}()
	err := cmd.Wait()
	close(done)
	<-forwarded
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return exitOwnError, err
	}
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

func forward(signals <-chan os.Signal, p *os.Process, done <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			if s == unix.SIGINT && inForeground() {
				continue // the terminal has sent it to the command already
			}
			// The only error is that the process has just ended.
			_ = p.Signal(s)
		case <-done:
			return
		}
	}
}

// inForeground: ^C goes to every process of the terminal's foreground process
// group (termios(3), ISIG), and the command is in the same group as we are.
func inForeground() bool {
	group, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func fail(err error) int {
	say("%v", err)
	return exitOwnError
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "leakcheck: "+format+"\n", args...)
}
