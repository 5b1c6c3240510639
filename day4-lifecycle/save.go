package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"example.com/go-docker/day4-lifecycle/archive"
	"example.com/go-docker/day4-lifecycle/interrupt"
	"example.com/go-docker/day4-lifecycle/store"
	urfave "github.com/urfave/cli/v2"
)

var saveCommand = &urfave.Command{
	Name:      "save",
	Usage:     "write images to a tar",
	ArgsUsage: "IMAGE...",
	Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write (default: standard output)"},
		&urfave.StringFlag{Name: "format", Value: archive.DockerArchive, Usage: "`FORMAT`: docker-archive or oci-archive"},
	},
	Action: func(ctx *urfave.Context) error {
		format := ctx.String("format")
		if format != archive.DockerArchive && format != archive.OCIArchive {
			return fmt.Errorf("invalid --format %q: want docker-archive or oci-archive", format)
		}
		if !ctx.Args().Present() {
			return errors.New("save requires an image: see save --help")
		}
		s, err := store.Open(ctx.String("root"))
		if err != nil {
			return err
		}
		a := &archive.Saver{Store: s, Format: format}
		for _, ref := range ctx.Args().Slice() {
			if err := a.Add(ref); err != nil {
				return err
			}
		}
		return interruptible(func(until context.Context) error {
			return archive.WriteOutput(ctx.String("output"), func(w io.Writer) error { return a.Write(interrupt.Writer(until, w)) })
		})
	},
}
