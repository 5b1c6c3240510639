package run

import (
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/moby/term"
	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/commands/named"
	"example.com/go-docker/day4-lifecycle/commands/options"
	"example.com/go-docker/day4-lifecycle/console"
	"example.com/go-docker/day4-lifecycle/container"
	"example.com/go-docker/day4-lifecycle/join"
)

// Exec is the command exec.
var Exec = &urfave.Command{
	Name:      "exec",
	Usage:     "run another command in a container",
	ArgsUsage: "CONTAINER COMMAND [ARG...]",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "exit as soon as it runs", DisableDefaultText: true},
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
		c, err := named.One(ctx, 2, 0)
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
	c.Env, err = options.SetVariables(c.Env, ctx.StringSlice("env"))
	return c, err
}
