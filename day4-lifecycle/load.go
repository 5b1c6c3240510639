package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"example.com/go-docker/day4-lifecycle/archive"
	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/store"
	urfave "github.com/urfave/cli/v2"
)

var loadCommand = &urfave.Command{
	Name:  "load",
	Usage: "take in the images of a tar that save, docker save, podman save, skopeo or buildah has written",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "input", Aliases: []string{"i"}, Value: "-", Usage: "`FILE` to read (default: standard input)", DefaultText: "standard input"},
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing", DisableDefaultText: true},
		&urfave.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` to take where there are several (default: this machine's)"},
	},
	Action: func(ctx *urfave.Context) error {
		if ctx.Args().Present() {
			return errors.New("load takes no argument: name the file with -i")
		}
		platform := image.HostPlatform()
		if ctx.IsSet("platform") {
			var err error
			if platform, err = image.ParsePlatform(ctx.String("platform")); err != nil {
				return fmt.Errorf("invalid --platform %q: %w", ctx.String("platform"), err)
			}
		}
		if os.Geteuid() != 0 {
			return errNotRoot
		}
		file, err := archive.OpenInput(ctx.String("input"))
		if err != nil {
			return err
		}
		defer file.Close()
		s, err := store.Open(ctx.String("root"))
		if err != nil {
			return err
		}
		return interruptible(func(until context.Context) error {
			names, err := archive.Load(until, s, file, platform)
			for _, name := range names {
				if !ctx.Bool("quiet") {
					fmt.Println(name)
				}
			}
			if err != nil {
				return fmt.Errorf("load %s: %w", file.Name(), err)
			}
			return nil
		})
	},
}
