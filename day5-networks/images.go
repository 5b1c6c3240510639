package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/go-docker/day5-networks/image"
	"example.com/go-docker/day5-networks/snapshot"
	"example.com/go-docker/day5-networks/store"
	"github.com/docker/go-units"
	urfave "github.com/urfave/cli/v2"
)

var imagesCommand = &urfave.Command{
	Name:      "images",
	Usage:     "list images",
	ArgsUsage: "[REPOSITORY[:TAG]]",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show IDs only", DisableDefaultText: true},
		noTruncFlag(),
	},
	Action: withStore(0, 1, "one repository at most", func(_ context.Context, ctx *urfave.Context, s *store.Store) error {
		return listImages(s, ctx.Args().First(), ctx.Bool("quiet"), ctx.Bool("no-trunc"))
	}),
}

func noTruncFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "no-trunc", Usage: "show everything in full", DisableDefaultText: true}
}

// listImages prints a line for each image under each of its names, for those of
// a repository or, for "", for all; or only their IDs.
func listImages(s *store.Store, filter string, quiet, full bool) error {
	var want image.Reference
	if filter != "" {
		var err error
		if want, err = image.ParseReference(filter); err != nil {
			return err
		}
	}
	all, err := s.Images()
	if err != nil {
		return err
	}
	table := newTable("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")
	for _, img := range all {
		names := img.Names
		if len(names) == 0 {
			names = []string{""}
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			repository, tag := image.SplitName(name)
			return filter != "" && (repository != want.Repository() || strings.HasSuffix(filter, ":"+want.Tag) && tag != want.Tag)
		})
		if quiet {
			if len(names) > 0 {
				fmt.Println(idFor(img.ID, full))
			}
			continue
		}
		size, err := snapshot.Size(s, img)
		if err != nil {
			return err
		}
		for _, name := range names {
			repository, tag := image.SplitName(name)
			table.row(cmp.Or(image.Familiar(repository), "<none>"), cmp.Or(tag, "<none>"), idFor(img.ID, full), ago(img.Config.Created.Time), humanSize(size))
		}
	}
	if quiet {
		return nil
	}
	return table.Flush()
}

func idFor(id string, full bool) string {
	if full {
		return id
	}
	return image.ShortID(id)
}

// ago is Docker's way to show a time. Reproducible images have none, or 1970.
func ago(t time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return units.HumanDuration(time.Since(t)) + " ago"
}

func humanSize(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }
