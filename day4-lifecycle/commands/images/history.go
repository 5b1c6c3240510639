package images

import (
	"context"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/cli"
	"example.com/go-docker/day4-lifecycle/commands/action"
	"example.com/go-docker/day4-lifecycle/commands/output"
	"example.com/go-docker/day4-lifecycle/snapshot"
	"example.com/go-docker/day4-lifecycle/store"
)

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
