package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/go-docker/day4-lifecycle/archive"
	"example.com/go-docker/day4-lifecycle/commit"
	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/store"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	urfave "github.com/urfave/cli/v2"
)

var importCommand = &urfave.Command{
	Name:      "import",
	Usage:     "make an image of one layer from a root file system",
	ArgsUsage: "FILE.tar|DIRECTORY|- [NAME[:TAG]]",
	Flags: []urfave.Flag{
		changeFlag(),
		&urfave.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "`COMMENT` for history"},
		&urfave.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` of what is in it (default: this machine's)"},
	},
	Action: func(ctx *urfave.Context) error {
		if ctx.NArg() < 1 || ctx.NArg() > 2 {
			return errors.New("import requires a file, a directory or -, and a name at most: see import --help")
		}
		source := ctx.Args().First()
		change, err := parseChanges(ctx.StringSlice("change"))
		if err != nil {
			return err
		}
		platform := image.HostPlatform()
		if ctx.IsSet("platform") {
			if platform, err = image.ParsePlatform(ctx.String("platform")); err != nil {
				return fmt.Errorf("invalid --platform %q: %w", ctx.String("platform"), err)
			}
		}
		if os.Geteuid() != 0 {
			return errNotRoot
		}
		s, err := store.Open(ctx.String("root"))
		if err != nil {
			return err
		}
		config := func(c *v1.ConfigFile) {
			c.OS, c.Architecture, c.Variant = platform.OS, platform.Architecture, platform.Variant
			c.History[0].CreatedBy, c.History[0].Comment = "import "+source, ctx.String("message")
			change(&c.Config)
		}
		return interruptible(func(until context.Context) error {
			img, err := commit.AddLayer(until, s, nil, func(w io.Writer) error { return archive.CopyRoot(until, w, source) }, config, ctx.Args().Get(1))
			if err != nil {
				return fmt.Errorf("import %s: %w", source, err)
			}
			fmt.Println(img.ID)
			return nil
		})
	},
}
