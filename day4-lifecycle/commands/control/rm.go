package control

import (
	"fmt"
	"slices"

	"github.com/sirupsen/logrus"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/commands/action"
	"example.com/go-docker/day4-lifecycle/commands/named"
	"example.com/go-docker/day4-lifecycle/lifecycle"
)

// Remove is the command rm.
var Remove = &urfave.Command{
	Name:      "rm",
	Usage:     "remove containers",
	ArgsUsage: "CONTAINER...",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill running ones; do not complain about missing ones", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "volumes", Aliases: []string{"v"}, Usage: "remove their volumes, too (those of the image always go)", DisableDefaultText: true},
	},
	Action: func(ctx *urfave.Context) error {
		return named.EachContainer(ctx, func(c *lifecycle.Container) error { return c.Remove(ctx.Bool("force")) })
	},
}

// Prune is the command container prune.
var Prune = &urfave.Command{
	Name:  "prune",
	Usage: "remove all containers that are not running",
	Flags: []urfave.Flag{&urfave.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "do not ask", DisableDefaultText: true}},
	Action: func(ctx *urfave.Context) error {
		if !named.Confirmed(ctx, "stopped containers") {
			return nil
		}
		s, err := action.OpenStore(ctx)
		if err != nil {
			return err
		}
		all, err := lifecycle.List(s)
		if err != nil {
			return err
		}
		for _, c := range slices.Backward(all) {
			if c.State.Live() {
				continue
			}
			if err := c.Remove(false); err != nil {
				logrus.Warn(err) // it was started meanwhile
				continue
			}
			fmt.Println(c.ID)
		}
		return nil
	},
}
