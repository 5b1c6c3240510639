package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
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
		&urfave.StringFlag{Name: "format", Value: "table", Usage: "`table` or json, one object a line"},
	},
	Action: withStore(0, 1, "one repository at most", func(_ context.Context, ctx *urfave.Context, s *store.Store) error {
		format := ctx.String("format")
		if format != "table" && format != "json" {
			return fmt.Errorf("invalid --format %q: want table or json", format)
		}
		rows, err := imageRows(s, ctx.Args().First())
		switch {
		case err != nil:
			return err
		case format == "json":
			return printJSON(rows)
		case ctx.Bool("quiet"):
			printIDs(rows, ctx.Bool("no-trunc"))
			return nil
		}
		return printImages(rows, ctx.Bool("no-trunc"))
	}),
}

func noTruncFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "no-trunc", Usage: "show everything in full", DisableDefaultText: true}
}

// An imageRow is one line of images: an image under one of its names.
type imageRow struct {
	Repository string    `json:"repository"`
	Tag        string    `json:"tag"`
	Digest     string    `json:"digest"`
	ID         string    `json:"id"`
	Created    time.Time `json:"created"`
	Size       int64     `json:"size_bytes"` // of the files in its layers
}

// imageRows lists the images of a repository, or all of them for "".
func imageRows(s *store.Store, filter string) (rows []imageRow, err error) {
	var want image.Reference
	if filter != "" {
		if want, err = image.ParseReference(filter); err != nil {
			return nil, err
		}
	}
	all, err := s.Images()
	if err != nil {
		return nil, err
	}
	for _, img := range all {
		size, err := snapshot.Size(s, img)
		if err != nil {
			return nil, err
		}
		names := img.Names
		if len(names) == 0 {
			names = []string{""}
		}
		for _, name := range names {
			repository, tag := image.SplitName(name)
			if filter != "" && (repository != want.Repository() || strings.HasSuffix(filter, ":"+want.Tag) && tag != want.Tag) {
				continue
			}
			rows = append(rows, imageRow{
				Repository: orNone(image.Familiar(repository)), Tag: orNone(tag), Digest: orNone(digestIn(img, repository)),
				ID: img.ID, Created: img.Config.Created.Time, Size: size,
			})
		}
	}
	return rows, nil
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func digestIn(img *store.Image, repository string) string {
	for _, d := range img.Digests {
		if digest, ok := strings.CutPrefix(d, repository+"@"); ok {
			return digest
		}
	}
	return ""
}

func printImages(rows []imageRow, full bool) error {
	table := newTable("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")
	for _, r := range rows {
		table.row(r.Repository, r.Tag, idFor(r.ID, full), ago(r.Created), humanSize(r.Size))
	}
	return table.Flush()
}

func printIDs(rows []imageRow, full bool) {
	var shown []string
	for _, r := range rows {
		if id := idFor(r.ID, full); !slices.Contains(shown, id) {
			shown = append(shown, id)
			fmt.Println(id)
		}
	}
}

func printJSON(rows []imageRow) error {
	for _, r := range rows {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return nil
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
