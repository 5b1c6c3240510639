package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day3-images/archive"
	"example.com/go-docker/day3-images/commands/action"
	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/interrupt"
	"example.com/go-docker/day3-images/store"
)

// Commit is the command commit.
var Commit = &urfave.Command{
	Name:      "commit",
	Usage:     "make an image from a container's changes",
	ArgsUsage: "CONTAINER [NAME[:TAG]]",
	Description: "The container's upper directory becomes one more layer on top of its image.\n" +
		"With -o, the container's whole file system is written to a tar, and no image is made.",
	Flags: []urfave.Flag{
		changeFlag(),
		&urfave.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "`COMMENT` for history"},
		&urfave.StringFlag{Name: "author", Aliases: []string{"a"}, Usage: "`NAME` of the author"},
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write a tar to `FILE`, - for standard output"},
	},
	Action: action.WithStore(1, 2, "a container, and a name at most", commitContainer),
}

func changeFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "change", Aliases: []string{"c"}, Usage: "apply a Dockerfile `INSTRUCTION`, like CMD, ENV, LABEL or USER"}
}

func commitContainer(until context.Context, ctx *urfave.Context, s *store.Store) error {
	if ctx.IsSet("output") && ctx.NArg() > 1 {
		return errors.New("commit -o writes a tar and makes no image: leave out the name, or -o")
	}
	if err := action.RequireRoot(); err != nil {
		return err
	}
	c, err := containers.Find(s, ctx.Args().First())
	if err != nil {
		return err
	}
	base, err := s.Resolve(c.Image)
	if err != nil {
		return fmt.Errorf("commit %s: its image: %w", c.ID, err)
	}
	if ctx.IsSet("output") {
		return archive.Write(ctx.String("output"), func(w io.Writer) error {
			return archive.Export(until, s, c, base, interrupt.Writer(until, w))
		})
	}
	img, err := commit.Commit(until, s, c, base, ctx.Args().Get(1), func(config *v1.ConfigFile) error {
		last := &config.History[len(config.History)-1]
		config.Author, last.Author = ctx.String("author"), ctx.String("author")
		last.Comment = ctx.String("message")
		return commit.Change(&config.Config, ctx.StringSlice("change"))
	})
	if err != nil {
		return fmt.Errorf("commit %s: %w", c.ID, err)
	}
	fmt.Println(img.ID)
	return nil
}
