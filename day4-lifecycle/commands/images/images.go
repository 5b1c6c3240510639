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

	v1 "github.com/google/go-containerregistry/pkg/v1"
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
// IDs. filter is a repository or a name, or "" for all.
func listImages(s *store.Store, filter string, quiet, full bool) error {
	all, err := s.Images()
	if err != nil {
		return err
	}
	table := output.NewTable("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")
	for _, img := range all {
		if len(img.Names) == 0 {
			img.Names = []string{""}
		}
		names := slices.DeleteFunc(img.Names, func(name string) bool {
			repository, _ := image.SplitName(name)
			return filter != "" && !slices.Contains([]string{name, repository, image.Familiar(name), image.Familiar(repository)}, filter)
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
// changed the configuration have no layer.
func printHistory(s *store.Store, img *store.Image, full bool) (err error) {
	layers, steps := img.Config.RootFS.DiffIDs, slices.Clone(img.Config.History)
	undescribed := len(layers)
	for _, step := range steps {
		if !step.EmptyLayer {
			undescribed--
		}
	}
	steps = append(steps, make([]v1.History, max(0, undescribed))...) // some tools write no history for layers
	id := output.ID(img.ID, full)
	table := output.NewTable("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT")
	for _, step := range slices.Backward(steps) {
		size := int64(0)
		if last := len(layers) - 1; !step.EmptyLayer && last >= 0 {
			if size, err = snapshot.LayerSize(s, layers[last]); err != nil {
				return err
			}
			layers = layers[:last]
		}
		by := []rune(oneLine(step.CreatedBy))
		if !full && len(by) > 45 {
			by = append(by[:44], '…')
		}
		table.Row(id, output.Ago(step.Created.Time), string(by), output.Size(size), oneLine(step.Comment))
		id = "<missing>"
	}
	return table.Flush()
}

func oneLine(s string) string { return strings.Join(strings.Fields(cli.Printable(s)), " ") }
