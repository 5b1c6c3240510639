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
	"example.com/go-docker/day3-images/commands/fetch"
	"example.com/go-docker/day3-images/commit"
	"example.com/go-docker/day3-images/containers"
	"example.com/go-docker/day3-images/interrupt"
	"example.com/go-docker/day3-images/store"
)

// Load is the command load.
var Load = &urfave.Command{
	Name:  "load",
	Usage: "load images from a tar made by docker save, podman save or skopeo",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "input", Aliases: []string{"i"}, Value: "-", Usage: "`FILE` to read", DefaultText: "standard input"},
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing", DisableDefaultText: true},
		fetch.PlatformFlag("to take of several"),
	},
	Action: action.WithStore(0, 0, "no argument but a file with -i", func(until context.Context, ctx *urfave.Context, s *store.Store) error {
		platform, err := fetch.Platform(ctx)
		if err != nil {
			return err
		}
		file, err := archive.Open(ctx.String("input"))
		if err != nil {
			return err
		}
		defer file.Close()
		done, err := archive.Load(until, s, file, platform, ctx.IsSet("platform"))
		for _, line := range done {
			if !ctx.Bool("quiet") {
				fmt.Println(line)
			}
		}
		if err != nil {
			return fmt.Errorf("load %s: %w", file.Name(), err)
		}
		return nil
	}),
}

// Save is the command save.
var Save = &urfave.Command{
	Name:      "save",
	Usage:     "write images to a tar that is both a docker archive and an OCI layout",
	ArgsUsage: "IMAGE...",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write (default: standard output)"},
	},
	Action: action.WithStore(1, -1, "an image", func(until context.Context, ctx *urfave.Context, s *store.Store) error {
		return archive.Write(ctx.String("output"), func(w io.Writer) error {
			return archive.Save(s, ctx.Args().Slice(), interrupt.Writer(until, w))
		})
	}),
}

func newImageFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "change", Aliases: []string{"c"}, Usage: "apply a Dockerfile `INSTRUCTION`, like CMD, ENV, LABEL or USER"},
		&urfave.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "`COMMENT` for history"},
	}
}

// Import is the command import.
var Import = &urfave.Command{
	Name:      "import",
	Usage:     "make an image with one layer from a root file system",
	ArgsUsage: "FILE.tar|DIRECTORY|- [NAME[:TAG]]",
	Flags:     append(newImageFlags(), fetch.PlatformFlag("of what is in it")),
	Action: action.WithStore(1, 2, "a file, a directory or -, and a name at most", func(until context.Context, ctx *urfave.Context, s *store.Store) error {
		source := ctx.Args().First()
		platform, err := fetch.Platform(ctx)
		if err != nil {
			return err
		}
		img, err := archive.Import(until, s, source, ctx.Args().Get(1), func(c *v1.ConfigFile) error {
			c.OS, c.Architecture, c.Variant = platform.OS, platform.Architecture, platform.Variant
			c.History[0].CreatedBy, c.History[0].Comment = "import "+source, ctx.String("message")
			return commit.Change(&c.Config, ctx.StringSlice("change"))
		})
		if err != nil {
			return fmt.Errorf("import %s: %w", source, err)
		}
		fmt.Println(img.ID)
		return nil
	}),
}

// Commit is the command commit.
var Commit = &urfave.Command{
	Name:      "commit",
	Usage:     "make an image from a container's changes",
	ArgsUsage: "CONTAINER [NAME[:TAG]]",
	Description: "The container's upper directory becomes one more layer on top of its image.\n" +
		"With -o, the container's whole file system is written to a tar, and no image is made.",
	Flags: append(newImageFlags(),
		&urfave.StringFlag{Name: "author", Aliases: []string{"a"}, Usage: "`NAME` of the author"},
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write a tar to `FILE`, - for standard output"}),
	Action: action.WithStore(1, 2, "a container, and a name at most", commitContainer),
}

func commitContainer(until context.Context, ctx *urfave.Context, s *store.Store) error {
	if ctx.IsSet("output") && (ctx.NArg() > 1 || ctx.IsSet("change")) {
		return errors.New("commit -o writes a tar and makes no image: leave out the name and -c, or -o")
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
