package run

import (
	"errors"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/named"
	"example.com/go-docker/day5-networks/console"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/lifecycle"
)

// Start is the command start.
var Start = &urfave.Command{
	Name:      "start",
	Usage:     "start containers that are not running",
	ArgsUsage: "CONTAINER...",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "attach", Aliases: []string{"a"}, Usage: "show its output, and exit with its status", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "pass on standard input, too", DisableDefaultText: true},
		detachKeysFlag(),
	},
	Action: func(ctx *urfave.Context) error {
		signals := container.CatchSignals()
		if !ctx.Bool("attach") && !ctx.Bool("interactive") {
			return named.EachContainer(ctx, func(c *lifecycle.Container) error {
				_, _, err := c.Start(false, signals)
				return err
			})
		}
		keys, err := console.ParseKeys(ctx.String("detach-keys"))
		if err != nil {
			return err
		}
		if ctx.NArg() > 1 {
			return errors.New("start -a and -i take one container: one cannot be attached to several")
		}
		c, err := named.One(ctx, 1, 1)
		if err != nil {
			return err
		}
		// First, for with --rm nothing of a container may be left once it has started.
		seat, err := consoleFor(c, keys, ctx.Bool("interactive"), signals)
		if err != nil {
			return err
		}
		conn, started, err := c.Start(true, signals)
		if err != nil {
			return err
		}
		if !started {
			return attach(c, keys, ctx.Bool("interactive"), signals)
		}
		return follow(seat, conn, c.ID)
	},
}
