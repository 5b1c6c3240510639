package images

import (
	"context"
	"errors"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/commands/action"
	"example.com/go-docker/day5-networks/commands/fetch"
	"example.com/go-docker/day5-networks/containers"
	"example.com/go-docker/day5-networks/image"
	"example.com/go-docker/day5-networks/store"
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

// Tag is the command tag.
var Tag = &urfave.Command{
	Name:      "tag",
	Usage:     "give an image another name",
	ArgsUsage: "IMAGE NAME[:TAG]",
	Action: action.WithStore(2, 2, "an image and a name", func(_ context.Context, ctx *urfave.Context, s *store.Store) error {
		name, err := image.FullTag(ctx.Args().Get(1))
		if err == nil && name == "" {
			err = errors.New("invalid image name \"\": an image cannot be called nothing")
		}
		if err != nil {
			return err
		}
		return s.Tag(ctx.Args().First(), name)
	}),
}

// Remove is the command rmi.
var Remove = &urfave.Command{
	Name:      "rmi",
	Usage:     "remove images",
	ArgsUsage: "IMAGE...",
	Description: "A name is removed from its image. With its last name the image goes, and whatever only it needed.\n" +
		"An image that a container needs stays; with -f it loses its names.",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "remove all names; do not complain about missing images", DisableDefaultText: true},
	},
	Action: action.EachArgument("an image", func(ctx *urfave.Context, s *store.Store, ref string) ([]string, error) {
		done, err := s.Remove(ref, ctx.Bool("force"), containers.Users)
		if ctx.Bool("force") && errors.Is(err, store.ErrNoImage) {
			return nil, nil
		}
		return done, err
	}),
}
