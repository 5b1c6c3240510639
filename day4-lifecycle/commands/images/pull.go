package images

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/commands/action"
	"example.com/go-docker/day4-lifecycle/commands/fetch"
	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/store"
)

// Pull is the command pull.
var Pull = &urfave.Command{
	Name:      "pull",
	Usage:     "get an image from a registry",
	ArgsUsage: "NAME[:TAG|@DIGEST]",
	Flags: []urfave.Flag{
		fetch.PlatformFlag("of the image"),
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no progress", DisableDefaultText: true},
		fetch.InsecureFlag(),
	},
	Action: action.WithStore(1, 1, "one image name", func(until context.Context, ctx *urfave.Context, s *store.Store) error {
		ref, err := image.ParseReference(ctx.Args().First())
		if err != nil {
			return err
		}
		if err := fetch.Pull(until, ctx, s, ref); err != nil {
			return err
		}
		fmt.Println(ref)
		return nil
	}),
}
