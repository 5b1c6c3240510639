// Package images has the commands for images, from pull to rmi. The rooms
// registry, archive, store and commit do the work.
//
// It grew from rungs 09-image and 10-commit, and adds names instead of
// directories, lists, archives and registries.
package images

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/cli"
	"example.com/go-docker/day4-lifecycle/commands/action"
	"example.com/go-docker/day4-lifecycle/commands/output"
	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/snapshot"
	"example.com/go-docker/day4-lifecycle/store"
)

// List is the command images.
var List = &urfave.Command{
	Name:      "images",
	Usage:     "list images",
	ArgsUsage: "[REPOSITORY[:TAG]]",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show IDs only", DisableDefaultText: true},
		noTruncFlag(),
	},
	Action: action.WithStore(0, 1, "one repository at most", func(_ context.Context, ctx *urfave.Context, s *store.Store) error {
		return listImages(s, ctx.Args().First(), ctx.Bool("quiet"), ctx.Bool("no-trunc"))
	}),
}

func noTruncFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "no-trunc", Usage: "show everything in full", DisableDefaultText: true}
}

// listImages prints a line for each name of each image, or only the images'
// IDs. filter is a repository, or "" for all.
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
	table := output.NewTable("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")
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
				fmt.Println(output.ID(img.ID, full))
			}
			continue
		}
		size, err := snapshot.Size(s, img)
		if err != nil {
			return err
		}
		for _, name := range names {
			repository, tag := image.SplitName(name)
			table.Row(cmp.Or(image.Familiar(repository), "<none>"), cmp.Or(tag, "<none>"), output.ID(img.ID, full), output.Ago(img.Config.Created.Time), output.Size(size))
		}
	}
	if quiet {
		return nil
	}
	return table.Flush()
}

// History is the command history.
var History = &urfave.Command{
	Name:      "history",
	Usage:     "show how an image was made",
	ArgsUsage: "IMAGE",
	Flags:     []urfave.Flag{noTruncFlag()},
	Action: action.WithStore(1, 1, "an image", func(_ context.Context, ctx *urfave.Context, s *store.Store) error {
		img, err := s.Resolve(ctx.Args().First())
		if err != nil {
			return err
		}
		return printHistory(s, img, ctx.Bool("no-trunc"))
	}),
}

// printHistory prints the last step first. Only the image itself has an ID: the
// earlier steps may never have been images on this machine. Steps that only
// changed the configuration have no layer, and some tools write no history for
// layers.
func printHistory(s *store.Store, img *store.Image, full bool) error {
	layers := img.Config.RootFS.DiffIDs
	var rows [][]string
	for _, h := range img.Config.History {
		size := int64(0)
		if !h.EmptyLayer && len(layers) > 0 {
			var err error
			if size, err = snapshot.LayerSize(s, layers[0]); err != nil {
				return err
			}
			layers = layers[1:]
		}
		by := []rune(oneLine(h.CreatedBy))
		if !full && len(by) > 45 {
			by = append(by[:44], '…')
		}
		rows = append(rows, []string{"<missing>", output.Ago(h.Created.Time), string(by), output.Size(size), oneLine(h.Comment)})
	}
	for _, diffID := range layers {
		size, err := snapshot.LayerSize(s, diffID)
		if err != nil {
			return err
		}
		rows = append(rows, []string{"<missing>", "N/A", "", output.Size(size), ""})
	}
	table := output.NewTable("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT")
	for i, row := range slices.Backward(rows) {
		if i == len(rows)-1 {
			row[0] = output.ID(img.ID, full)
		}
		table.Row(row...)
	}
	return table.Flush()
}

func oneLine(s string) string { return strings.Join(strings.Fields(cli.Printable(s)), " ") }
