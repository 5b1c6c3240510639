package main

import (
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

	"github.com/moby/term"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day1-namespaces/container"
	"example.com/go-docker/day1-namespaces/namespace"
)

func runCommand() *urfave.Command {
	return &urfave.Command{
		Name:        "run",
		Usage:       "run a command in new namespaces",
		ArgsUsage:   "COMMAND [ARG...]",
		Description: "All namespaces are new unless some are named: --uts --pid makes just these two.",
		Flags:       append(namespaceFlags(), containerFlags()...),
		Action: func(ctx *urfave.Context) error {
			parent := container.Parent{Signals: container.CatchSignals()}
			c, err := containerFromFlags(ctx)
			if err != nil {
				return err
			}
			if ctx.Bool("interactive") {
				parent.Stdin = os.Stdin
			}
			return container.Run(c, parent)
		},
	}
}

func namespaceFlags() []urfave.Flag {
	var flags []urfave.Flag
	for _, k := range namespace.Kinds {
		flags = append(flags, &urfave.BoolFlag{Name: k.Name, Usage: "new " + k.Name + " namespace: " + k.Holds, DisableDefaultText: true})
	}
	return flags
}

func containerFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "keep standard input open", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the command a terminal", DisableDefaultText: true},
		&urfave.StringFlag{Name: "hostname", Usage: "`NAME` of the container (default: its id)"},
		&urfave.BoolFlag{Name: "init", Value: true, Usage: "PID 1 is an init; --init=false: the command"},
	}
}

func containerFromFlags(ctx *urfave.Context) (*container.Container, error) {
	if !ctx.Args().Present() {
		return nil, errors.New("run requires a command: see run --help")
	}
	c := &container.Container{
		ID:       container.NewID(),
		Args:     ctx.Args().Slice(),
		Hostname: ctx.String("hostname"),
		TTY:      ctx.Bool("tty"),
		Init:     ctx.Bool("init"),
	}
	var err error
	if c.Namespaces, err = namespacesFromFlags(ctx); err != nil {
		return nil, err
	}
	if c.Hostname == "" {
		c.Hostname = c.ID
	} else if err := checkHostname(c); err != nil {
		return nil, fmt.Errorf("invalid --hostname %q: %w", c.Hostname, err)
	}
	// If standard input is not a terminal, there is no size, no job control and
	// no ^C to pass on, and a pty would turn every newline into CR LF. ssh
	// decides the same way.
	if c.TTY && !term.IsTerminal(os.Stdin.Fd()) {
		logrus.Warn("-t ignored: standard input is not a terminal")
		c.TTY = false
	}
	// Like Docker's, the environment starts almost empty: the host shell's
	// variables must not leak into the container. PATH and HOME are still the
	// host's, because the root file system is.
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "HOSTNAME=" + c.Hostname}
	if c.TTY {
		c.Env = append(c.Env, "TERM="+os.Getenv("TERM"))
	}
	return c, nil
}

// namespacesFromFlags returns the clone(2) flags of the namespaces named on the
// command line or, if none was, of all that this kernel has.
func namespacesFromFlags(ctx *urfave.Context) (uintptr, error) {
	var named uintptr
	for _, k := range namespace.Kinds {
		if !ctx.Bool(k.Name) {
			continue
		}
		if !k.Supported() {
			return 0, fmt.Errorf("--%s: this kernel has no %s namespaces (no /proc/self/ns/%s)", k.Name, k.Name, k.File)
		}
		named |= k.Flag
	}
	if named == 0 {
		named = namespace.All()
	}
	// Only root may make the other kinds, but root in a new user namespace is
	// root enough, and anybody may make a user namespace. user_namespaces(7)
	if os.Geteuid() != 0 {
		named |= unix.CLONE_NEWUSER
	}
	return named, nil
}

func checkHostname(c *container.Container) error {
	switch {
	case c.Namespaces&unix.CLONE_NEWUTS == 0:
		return errors.New("it would be the host's: add --uts")
	case len(c.Hostname) > 64: // HOST_NAME_MAX, sethostname(2)
		return errors.New("longer than 64 bytes")
	case !utf8.ValidString(c.Hostname):
		return errors.New("not UTF-8")
	}
	return nil
}
