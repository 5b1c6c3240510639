// Leakcheck runs a command and fails when the command left something behind.
//
//	leakcheck [--ignore REGEXP]... -- COMMAND [ARG...]
//
// It compares the machine before and after: cgroups in every mounted
// hierarchy, hierarchies without a mount, mounts, network links, processes,
// entries of the temporary directory and of /run/go-docker, SysV IPC objects,
// and namespaces that a bind mount keeps alive. Mounts are compared both ways:
// a mount that is gone is damage too.
//
// Each difference is one line on standard error, such as
//
//	leakcheck: cgroup /sys/fs/cgroup/memory/go-docker-0123456789ab
//
// Processes are exact: leakcheck is a subreaper (PR_SET_CHILD_SUBREAPER,
// prctl(2)), so whatever the command orphans becomes leakcheck's own child, and
// nobody else's process can. Leftover processes are killed once they have been
// reported; the rest stays for you to look at, and scripts/cleanup.sh takes it
// away.
//
// Everything else on the list belongs to the whole machine, and others use it
// meanwhile. A difference therefore counts only if it is there when the command
// ends and still there 3 seconds later; the kernel and dying processes need a
// part of that time too. All names are reported, not only those that start with go-docker:
// the leak most worth catching is the one whose author forgot the naming rule.
// What the machine does on its own is excluded with --ignore, a regular
// expression looked for in the line as printed. On a host with systemd:
//
//	--ignore '^cgroup .*/(system|user)\.slice/' --ignore '^temp .*/systemd-private-'
//
// Only this process's mount, network and IPC namespaces are looked at. Things
// in namespaces the command made die with them, unless a process or a mount
// keeps them alive, and both of those are on the list.
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
	ignore, command, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Println(usage)
		return 0
	}
	if err != nil {
		return fail(err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fail(fmt.Errorf("become a subreaper: %w", err))
	}
	before, err := takeSnapshot()
	if err != nil {
		return fail(err)
	}
	status, err := runCommand(command)
	if err != nil {
		say("%v", err) // and look for leaks all the same
	}
	leaks, err := before.leaks(ignore)
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
	say("%d left behind by %q, which exited with status %d", len(leaks), command, status)
	return exitLeak
}

const usage = "usage: leakcheck [--ignore REGEXP]... -- COMMAND [ARG...]"

func parse(args []string) (ignore []*regexp.Regexp, command []string, err error) {
	flags := flag.NewFlagSet("leakcheck", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it, on one line
	flags.Func("ignore", "", func(s string) error {
		re, err := regexp.Compile(s)
		ignore = append(ignore, re)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return nil, nil, err
	}
	if flags.NArg() == 0 {
		return nil, nil, errors.New(usage)
	}
	return ignore, flags.Args(), nil
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
