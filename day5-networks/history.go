package main

import (
	"context"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/cli"
	"example.com/go-docker/day5-networks/snapshot"
	"example.com/go-docker/day5-networks/store"
	urfave "github.com/urfave/cli/v2"
)

var historyCommand = &urfave.Command{
	Name:      "history",
	Usage:     "show how an image was made",
	ArgsUsage: "IMAGE",
	Flags:     []urfave.Flag{noTruncFlag()},
	Action: withStore(1, 1, "an image", func(_ context.Context, ctx *urfave.Context, s *store.Store) error {
		img, err := s.Resolve(ctx.Args().First())
		if err != nil {
			return err
		}
		return printHistory(s, img, ctx.Bool("no-trunc"))
	}),
}

// printHistory prints the last step first. Only the image itself has an ID: the
// steps before may never have been images here. Steps that only changed the
// configuration have no layer, and some tools keep no history of layers.
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
		rows = append(rows, []string{"<missing>", ago(h.Created.Time), string(by), humanSize(size), oneLine(h.Comment)})
	}
	for _, diffID := range layers {
		size, err := snapshot.LayerSize(s, diffID)
		if err != nil {
			return err
		}
		rows = append(rows, []string{"<missing>", "N/A", "", humanSize(size), ""})
	}
	table := newTable("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT")
	for i, row := range slices.Backward(rows) {
		if i == len(rows)-1 {
			row[0] = idFor(img.ID, full)
		}
		table.row(row...)
	}
	return table.Flush()
}

func oneLine(s string) string { return strings.Join(strings.Fields(cli.Printable(s)), " ") }
