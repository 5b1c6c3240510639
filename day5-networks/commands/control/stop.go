package control

import (
	"cmp"
	"fmt"
	"syscall"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/named"
	"example.com/go-docker/day5-networks/commands/options"
	"example.com/go-docker/day5-networks/container"
	"example.com/go-docker/day5-networks/lifecycle"
)

func timeFlag() urfave.Flag {
	return &urfave.IntFlag{Name: "time", Aliases: []string{"t", "timeout"}, Value: 10, Usage: "`SECONDS` before it is killed; -1: never"}
}

func signalFlag(usage string) urfave.Flag {
	return &urfave.StringFlag{Name: "signal", Aliases: []string{"s"}, Usage: usage}
}

// signalFromFlags is the signal that the user has named; 0: none.
func signalFromFlags(ctx *urfave.Context) (syscall.Signal, error) {
	if ctx.String("signal") == "" {
		return 0, nil
	}
	n, err := options.ParseSignal(ctx.String("signal"))
	return syscall.Signal(n), err
}

// stopFromFlags returns a function that stops a container as the flags say.
func stopFromFlags(ctx *urfave.Context) (func(c *lifecycle.Container) error, error) {
	sig, err := signalFromFlags(ctx)
	return func(c *lifecycle.Container) error { return c.Stop(sig, ctx.Int("time")) }, err
}

// Stop is the command stop.
var Stop = &urfave.Command{
	Name:      "stop",
	Usage:     "ask containers to end, and kill those that do not",
	ArgsUsage: "CONTAINER...",
	Flags:     []urfave.Flag{timeFlag(), signalFlag("`SIGNAL` to ask with (default: the image's, or TERM)")},
	Action: func(ctx *urfave.Context) error {
		stop, err := stopFromFlags(ctx)
		if err != nil {
			return err
		}
		return named.EachContainer(ctx, stop)
	},
}

// Restart is the command restart.
var Restart = &urfave.Command{
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
		return named.EachContainer(ctx, func(c *lifecycle.Container) error {
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

// Kill is the command kill.
var Kill = &urfave.Command{
	Name:      "kill",
	Usage:     "send a signal to containers",
	ArgsUsage: "CONTAINER...",
	Flags:     []urfave.Flag{signalFlag("`SIGNAL` to send (default: KILL)")},
	Action: func(ctx *urfave.Context) error {
		sig, err := signalFromFlags(ctx)
		if err != nil {
			return err
		}
		return named.EachContainer(ctx, func(c *lifecycle.Container) error { return c.Kill(cmp.Or(sig, syscall.SIGKILL)) })
	},
}
