package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/go-docker/day4-lifecycle/store"
	"github.com/docker/go-units"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day4-lifecycle/cli"
)

var historyCommand = &urfave.Command{
	Name:      "history",
	Usage:     "show how an image was made",
	ArgsUsage: "IMAGE",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show IDs only", DisableDefaultText: true},
		noTruncFlag(),
		formatFlag(),
	},
	Action: func(ctx *urfave.Context) error {
		if ctx.NArg() != 1 {
			return errors.New("history requires an image: see history --help")
		}
		asJSON, err := wantsJSON(ctx)
		if err != nil {
			return err
		}
		s, err := store.Open(ctx.String("root"))
		if err != nil {
			return err
		}
		img, err := s.Resolve(ctx.Args().First())
		if err != nil {
			return err
		}
		rows, err := history(s, img)
		switch {
		case err != nil:
			return err
		case asJSON:
			return printJSONLines(os.Stdout, rows)
		}
		return printHistory(os.Stdout, rows, ctx.Bool("no-trunc"), ctx.Bool("quiet"))
	},
}

// A historyRow is one step in the making of an image. Steps that only changed
// the configuration have no layer.
type historyRow struct {
	ID        string    `json:"id"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Size      int64     `json:"size_bytes"`
	Comment   string    `json:"comment"`
	Layer     string    `json:"layer,omitempty"` // its diff ID
}

// history returns the last step first. Only the image itself has an ID: the
// steps before may never have been images here.
func history(s *store.Store, img *store.Image) (rows []historyRow, err error) {
	layers := img.Config.RootFS.DiffIDs
	for _, h := range img.Config.History {
		row := historyRow{ID: "<missing>", Created: h.Created.Time, CreatedBy: h.CreatedBy, Comment: h.Comment}
		if !h.EmptyLayer && len(layers) > 0 {
			row.Layer = layers[0].String()
			if row.Size, err = s.LayerSize(layers[0]); err != nil {
				return nil, err
			}
			layers = layers[1:]
		}
		rows = append(rows, row)
	}
	for _, diffID := range layers { // of tools that keep no history
		size, err := s.LayerSize(diffID)
		if err != nil {
			return nil, err
		}
		rows = append(rows, historyRow{ID: "<missing>", Size: size, Layer: diffID.String()})
	}
	slices.Reverse(rows)
	if len(rows) > 0 {
		rows[0].ID = img.ID
	}
	return rows, nil
}

func printHistory(w io.Writer, rows []historyRow, full, quiet bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	if !quiet {
		fmt.Fprintln(table, "IMAGE\tCREATED\tCREATED BY\tSIZE\tCOMMENT")
	}
	for _, r := range rows {
		id, by := r.ID, []rune(oneLine(r.CreatedBy))
		if strings.HasPrefix(id, "sha256:") {
			id = idFor(id, full)
		}
		if !full && len(by) > 45 {
			by = append(by[:44], '…')
		}
		if quiet {
			fmt.Fprintln(table, id)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", id, ago(r.Created), string(by), units.HumanSizeWithPrecision(float64(r.Size), 3), oneLine(r.Comment))
	}
	return table.Flush()
}

func oneLine(s string) string { return strings.Join(strings.Fields(cli.Printable(s)), " ") }
