package main

import (
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/moby/term"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/console"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/join"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/state"
)

var execCommand = &urfave.Command{
	Name:      "exec",
	Usage:     "run one more command in a container",
	ArgsUsage: "CONTAINER COMMAND [ARG...]",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "end as soon as it runs", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "keep standard input open", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the command a terminal", DisableDefaultText: true},
		&urfave.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `NAME=VALUE`, or pass NAME on"},
		&urfave.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`NAME|UID[:GROUP|GID]` to run as (default: the container's)"},
		&urfave.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "absolute `DIRECTORY` to start in (default: the container's)"},
		detachKeysFlag(),
	},
	Action: func(ctx *urfave.Context) error {
		command, err := commandFromFlags(ctx)
		if err != nil {
			return err
		}
		keys, err := console.ParseKeys(ctx.String("detach-keys"))
		if err != nil {
			return err
		}
		c, err := one(ctx, 2, 0)
		if err != nil {
			return err
		}
		nothing, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		stdio := [3]*os.File{nothing, os.Stdout, os.Stderr}
		if ctx.Bool("interactive") {
			stdio[0] = os.Stdin
		}
		if ctx.Bool("detach") {
			stdio = [3]*os.File{nothing, nothing, nothing}
		}
		signals := container.CatchSignals()
		conn, err := c.Exec(command, stdio, signals)
		if err != nil {
			return err
		}
		if ctx.Bool("detach") {
			return conn.Close()
		}
		seat := console.Console{TTY: command.TTY, Detach: keys, Signals: signals, Deaf: c.Deaf}
		if command.TTY && ctx.Bool("interactive") {
			seat.Stdin = os.Stdin
		}
		return follow(seat, conn, c.ID)
	},
}

func commandFromFlags(ctx *urfave.Context) (c join.Command, err error) {
	c = join.Command{Args: ctx.Args().Tail(), User: ctx.String("user"), Dir: ctx.String("workdir"), TTY: ctx.Bool("tty")}
	if len(c.Args) == 0 {
		return c, errors.New("exec requires a container and a command: see exec --help")
	}
	if c.Dir != "" && !path.IsAbs(c.Dir) {
		return c, fmt.Errorf("invalid --workdir %q: not an absolute path", c.Dir)
	}
	if c.TTY && !ctx.Bool("detach") && !term.IsTerminal(os.Stdin.Fd()) {
		logrus.Warn("-t ignored: standard input is not a terminal")
		c.TTY = false
	}
	if c.TTY {
		if size, err := term.GetWinsize(os.Stdin.Fd()); err == nil {
			c.Rows, c.Columns = size.Height, size.Width
		}
		c.Env = append(c.Env, "TERM="+os.Getenv("TERM"))
	}
	c.Env, err = setVariables(c.Env, ctx.StringSlice("env"))
	return c, err
}

var attachCommand = &urfave.Command{
	Name:      "attach",
	Usage:     "connect to the standard streams of a container that runs",
	ArgsUsage: "CONTAINER",
	Flags: []urfave.Flag{
		detachKeysFlag(),
		&urfave.BoolFlag{Name: "no-stdin", Usage: "do not pass on standard input", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "sig-proxy", Value: true, Usage: "pass on signals; --sig-proxy=false: they end only attach"},
	},
	Action: func(ctx *urfave.Context) error {
		keys, err := console.ParseKeys(ctx.String("detach-keys"))
		if err != nil {
			return err
		}
		c, err := one(ctx, 1, 1)
		if err != nil {
			return err
		}
		var signals *container.Signals
		if ctx.Bool("sig-proxy") {
			signals = container.CatchSignals()
		}
		return attach(c, keys, !ctx.Bool("no-stdin"), signals)
	},
}

func attach(c *lifecycle.Container, keys []byte, stdin bool, signals *container.Signals) error {
	if c.State.Status == state.Paused {
		return fmt.Errorf("container %s is paused: unpause it first", c.ID)
	}
	seat, err := consoleFor(c, keys, stdin, signals)
	if err != nil {
		return err
	}
	conn, err := c.Attach(seat.Stdin != nil)
	if err != nil {
		return err
	}
	return follow(seat, conn, c.ID)
}

// consoleFor says what we have to offer to a container.
func consoleFor(c *lifecycle.Container, keys []byte, stdin bool, signals *container.Signals) (console.Console, error) {
	config, err := state.ReadConfig(c.Dir)
	if err != nil {
		return console.Console{}, err
	}
	seat := console.Console{TTY: config.Container.TTY, Detach: keys, Signals: signals, Deaf: c.Deaf}
	if stdin && config.OpenStdin {
		seat.Stdin = os.Stdin
	}
	return seat, nil
}
