package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/cgroup"
	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/containers"
	"example.com/go-docker/day4-lifecycle/lifecycle"
)

// lifecycleCommands are the commands about containers; the larger ones are in
// the file of the same name.
func lifecycleCommands() []*urfave.Command {
	return []*urfave.Command{
		runCommand(), createCommand(), startCommand, stopCommand, restartCommand, killCommand,
		waitCommand, rmCommand, psCommand, logsCommand, execCommand, attachCommand,
		pauseCommand("pause", true), pauseCommand("unpause", false), topCommand, renameCommand, cpCommand,
		{Name: "container", Usage: "manage containers", Subcommands: []*urfave.Command{pruneCommand}},
	}
}

// failed is the error of a command about an existing container: status 1, as
// with Docker's, unless it has one of its own.
func failed(err error) error {
	var own container.StatusError
	if err == nil || errors.As(err, &own) {
		return err
	}
	return container.StatusError{Status: 1, Err: err}
}

// find opens the store and finds one container.
func find(ctx *urfave.Context, ref string) (*lifecycle.Container, error) {
	s, err := openStore(ctx)
	if err != nil {
		return nil, failed(err)
	}
	c, err := lifecycle.Find(s, ref)
	return c, failed(err)
}

// one finds the container that a command with so many arguments is about.
func one(ctx *urfave.Context, least, most int) (*lifecycle.Container, error) {
	if ctx.NArg() < least || most > 0 && ctx.NArg() > most {
		return nil, fmt.Errorf("%[1]s requires %[2]s: see %[1]s --help", ctx.Command.Name, ctx.Command.ArgsUsage)
	}
	return find(ctx, ctx.Args().First())
}

// each does something with each container that is named, prints the name, and
// goes on after an error.
func each(ctx *urfave.Context, do func(c *lifecycle.Container) error) error {
	if !ctx.Args().Present() {
		return fmt.Errorf("%[1]s requires a container: see %[1]s --help", ctx.Command.Name)
	}
	status := 0
	for _, ref := range ctx.Args().Slice() {
		c, err := find(ctx, ref)
		if err == nil {
			err = do(c)
		} else if ctx.Bool("force") && errors.Is(err, containers.ErrNone) { // rm -f
			continue
		}
		if err != nil {
			logrus.Error(err)
			status = 1
			continue
		}
		if ctx.Command.Name != "wait" {
			fmt.Println(strings.TrimSpace(ref))
		}
	}
	if status != 0 {
		return container.StatusError{Status: status}
	}
	return nil
}

var startCommand = &urfave.Command{
	Name:      "start",
	Usage:     "start containers that do not run",
	ArgsUsage: "CONTAINER...",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "attach", Aliases: []string{"a"}, Usage: "show its output, and end with its status", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "pass on standard input, too", DisableDefaultText: true},
		detachKeysFlag(),
	},
	Action: func(ctx *urfave.Context) error {
		signals := container.CatchSignals()
		if !ctx.Bool("attach") && !ctx.Bool("interactive") {
			return each(ctx, func(c *lifecycle.Container) error {
				_, _, err := c.Start(false, signals)
				return err
			})
		}
		keys, err := lifecycle.ParseKeys(ctx.String("detach-keys"))
		if err != nil {
			return err
		}
		if ctx.NArg() > 1 {
			return errors.New("start -a and -i take one container: one cannot be attached to several")
		}
		c, err := one(ctx, 1, 1)
		if err != nil {
			return err
		}
		conn, started, err := c.Start(true, signals)
		if err != nil {
			return failed(err)
		}
		if !started {
			return attach(c, keys, ctx.Bool("interactive"), signals)
		}
		console, err := consoleFor(c, keys, ctx.Bool("interactive"), signals)
		if err != nil {
			return failed(err)
		}
		return follow(console, conn, c.ID)
	},
}

func timeFlag() urfave.Flag {
	return &urfave.IntFlag{Name: "time", Aliases: []string{"t", "timeout"}, Value: 10, Usage: "`SECONDS` before it is killed; -1: never"}
}

func signalFlag(usage string) urfave.Flag {
	return &urfave.StringFlag{Name: "signal", Aliases: []string{"s"}, Usage: usage}
}

// stopFromFlags returns what stops a container as the flags say.
func stopFromFlags(ctx *urfave.Context) (func(c *lifecycle.Container) error, error) {
	sig := 0
	if text := ctx.String("signal"); text != "" {
		var err error
		if sig, err = parseSignal(text); err != nil {
			return nil, failed(err)
		}
	}
	return func(c *lifecycle.Container) error { return c.Stop(syscall.Signal(sig), ctx.Int("time")) }, nil
}

var stopCommand = &urfave.Command{
	Name:      "stop",
	Usage:     "ask containers to end, and kill those that do not",
	ArgsUsage: "CONTAINER...",
	Flags:     []urfave.Flag{timeFlag(), signalFlag("`SIGNAL` to ask with (default: the image's, or TERM)")},
	Action: func(ctx *urfave.Context) error {
		stop, err := stopFromFlags(ctx)
		if err != nil {
			return err
		}
		return each(ctx, stop)
	},
}

var restartCommand = &urfave.Command{
	Name:      "restart",
	Usage:     "stop containers and start them again",
	ArgsUsage: "CONTAINER...",
	Flags:     []urfave.Flag{timeFlag(), signalFlag("`SIGNAL` to ask with (default: the image's, or TERM)")},
	Action: func(ctx *urfave.Context) error {
		stop, err := stopFromFlags(ctx)
		if err != nil {
			return err
		}
		signals := container.CatchSignals()
		return each(ctx, func(c *lifecycle.Container) error {
			if c.AutoRemove {
				return fmt.Errorf("cannot restart container %s: it was started with --rm, and is gone when it stops", c.ID)
			}
			if err := stop(c); err != nil {
				return err
			}
			_, _, err := c.Start(false, signals)
			return err
		})
	},
}

var killCommand = &urfave.Command{
	Name:      "kill",
	Usage:     "send a signal to containers",
	ArgsUsage: "CONTAINER...",
	Flags:     []urfave.Flag{signalFlag("`SIGNAL` to send (default: KILL)")},
	Action: func(ctx *urfave.Context) error {
		sig, err := syscall.SIGKILL, error(nil)
		if text := ctx.String("signal"); text != "" {
			n := 0
			if n, err = parseSignal(text); err != nil {
				return failed(err)
			}
			sig = syscall.Signal(n)
		}
		return each(ctx, func(c *lifecycle.Container) error { return c.Kill(sig) })
	},
}

var waitCommand = &urfave.Command{
	Name:      "wait",
	Usage:     "wait until containers have ended, and print their exit statuses",
	ArgsUsage: "CONTAINER...",
	Action: func(ctx *urfave.Context) error {
		return each(ctx, func(c *lifecycle.Container) error {
			status, err := c.Wait()
			if err == nil {
				fmt.Println(status)
			}
			return err
		})
	},
}

var rmCommand = &urfave.Command{
	Name:      "rm",
	Usage:     "remove containers",
	ArgsUsage: "CONTAINER...",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill those that run; do not complain about missing ones", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "volumes", Aliases: []string{"v"}, Usage: "their volumes, too: those of the image always go with them", DisableDefaultText: true},
	},
	Action: func(ctx *urfave.Context) error {
		force := ctx.Bool("force")
		return each(ctx, func(c *lifecycle.Container) error { return c.Remove(force) })
	},
}

var pruneCommand = &urfave.Command{
	Name:  "prune",
	Usage: "remove all containers that do not run",
	Flags: []urfave.Flag{&urfave.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "do not ask", DisableDefaultText: true}},
	Action: func(ctx *urfave.Context) error {
		if !ctx.Bool("force") {
			fmt.Print("WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ")
			var answer string
			if _, err := fmt.Scanln(&answer); err != nil || !strings.EqualFold(answer, "y") {
				return nil
			}
		}
		s, err := openStore(ctx)
		if err != nil {
			return failed(err)
		}
		all, err := lifecycle.List(s)
		if err != nil {
			return failed(err)
		}
		for _, c := range slices.Backward(all) {
			if c.State.Live() {
				continue
			}
			if err := c.Remove(false); err != nil {
				logrus.Warn(err) // it has been started meanwhile
				continue
			}
			fmt.Println(c.ID)
		}
		return nil
	},
}

func pauseCommand(name string, freeze bool) *urfave.Command {
	usage := map[bool]string{true: "stop all processes of containers, which do not notice", false: "let paused containers go on"}[freeze]
	return &urfave.Command{
		Name: name, Usage: usage, ArgsUsage: "CONTAINER...",
		Action: func(ctx *urfave.Context) error {
			return each(ctx, func(c *lifecycle.Container) error { return c.Pause(freeze) })
		},
	}
}

var renameCommand = &urfave.Command{
	Name:      "rename",
	Usage:     "give a container another name",
	ArgsUsage: "CONTAINER NAME",
	Action: func(ctx *urfave.Context) error {
		c, err := one(ctx, 2, 2)
		if err != nil {
			return err
		}
		name := ctx.Args().Get(1)
		if err := containers.CheckName(name); err != nil {
			return failed(fmt.Errorf("invalid name %q: %w", name, err))
		}
		s, err := openStore(ctx)
		if err != nil {
			return failed(err)
		}
		return failed(containers.Rename(s, c.Container, name))
	},
}

var topCommand = &urfave.Command{
	Name:      "top",
	Usage:     "show the processes of a container, with ps(1)",
	ArgsUsage: "CONTAINER [PS OPTIONS]",
	Action: func(ctx *urfave.Context) error {
		c, err := one(ctx, 1, 0)
		if err != nil {
			return err
		}
		if !c.State.Live() {
			return failed(fmt.Errorf("container %s: %w", c.ID, lifecycle.ErrNotRunning))
		}
		records, err := cgroup.Running([]string{c.ID})
		if err != nil {
			return failed(err)
		}
		pids, err := records[0].Processes()
		if err != nil {
			return failed(err)
		}
		options := ctx.Args().Tail()
		if len(options) == 0 {
			options = []string{"-ef"}
		}
		ps := exec.Command("ps", options...)
		ps.Stderr = os.Stderr
		out, err := ps.Output()
		if err != nil {
			return failed(fmt.Errorf("ps %s: %w", strings.Join(options, " "), err))
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return len(pids) > 1 && pid == c.State.PID }) // our init
		return failed(printOwn(os.Stdout, string(out), pids))
	},
}
