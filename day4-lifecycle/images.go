package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/go-docker/day4-lifecycle/image"
	"example.com/go-docker/day4-lifecycle/store"
	"github.com/docker/go-units"
	urfave "github.com/urfave/cli/v2"
)

// imageCommands are the commands about images; what they do is in the file of
// the same name, or below.
func imageCommands() []*urfave.Command {
	return []*urfave.Command{
		pullCommand, loadCommand, saveCommand, importCommand, commitCommand,
		imagesCommand, historyCommand, inspectCommand, tagCommand, rmiCommand,
	}
}

var imagesCommand = &urfave.Command{
	Name:      "images",
	Usage:     "list images",
	ArgsUsage: "[REPOSITORY[:TAG]]",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show IDs only", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "digests", Usage: "show the digests by which registries know them", DisableDefaultText: true},
		noTruncFlag(),
		formatFlag(),
	},
	Action: func(ctx *urfave.Context) error {
		if ctx.NArg() > 1 {
			return errors.New("images takes one repository at most: see images --help")
		}
		asJSON, err := wantsJSON(ctx)
		if err != nil {
			return err
		}
		s, err := store.Open(ctx.String("root"))
		if err != nil {
			return err
		}
		rows, err := imageRows(s, ctx.Args().First())
		switch {
		case err != nil:
			return err
		case asJSON:
			return printJSONLines(os.Stdout, rows)
		case ctx.Bool("quiet"):
			return printIDs(os.Stdout, rows, ctx.Bool("no-trunc"))
		}
		return printImages(os.Stdout, rows, ctx.Bool("no-trunc"), ctx.Bool("digests"))
	},
}

func noTruncFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "no-trunc", Usage: "show everything in full", DisableDefaultText: true}
}

func formatFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "format", Value: "table", Usage: "`table` or json, one object a line"}
}

func wantsJSON(ctx *urfave.Context) (bool, error) {
	format := ctx.String("format")
	if format != "table" && format != "json" {
		return false, fmt.Errorf("invalid --format %q: want table or json", format)
	}
	return format == "json", nil
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

const none = "<none>"

// imageRows lists the images of a repository, or all of them for "".
func imageRows(s *store.Store, filter string) ([]imageRow, error) {
	var want image.Reference
	if filter != "" {
		var err error
		if want, err = image.ParseReference(filter); err != nil {
			return nil, err
		}
	}
	all, err := s.Images()
	if err != nil {
		return nil, err
	}
	var rows []imageRow
	for _, img := range all {
		size, err := s.Size(img)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Concat(img.Names, unnamed(img)) {
			repository, tag := image.SplitName(name)
			if filter != "" && (repository != want.Repository() || strings.HasSuffix(filter, ":"+want.Tag) && tag != want.Tag) {
				continue
			}
			row := imageRow{repository, tag, digestIn(img, repository), img.ID, img.Config.Created.Time, size}
			row.Repository = image.Familiar(repository)
			for _, field := range []*string{&row.Repository, &row.Tag, &row.Digest} {
				if *field == "" {
					*field = none
				}
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// unnamed gives an image without a name its one line.
func unnamed(img *store.Image) []string {
	if len(img.Names) == 0 {
		return []string{""}
	}
	return nil
}

func digestIn(img *store.Image, repository string) string {
	for _, d := range img.Digests {
		if digest, ok := strings.CutPrefix(d, repository+"@"); ok {
			return digest
		}
	}
	return ""
}

func printImages(w io.Writer, rows []imageRow, full, digests bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	digestTitle := ""
	if digests {
		digestTitle = "DIGEST\t"
	}
	fmt.Fprintf(table, "REPOSITORY\tTAG\t%sIMAGE ID\tCREATED\tSIZE\n", digestTitle)
	for _, r := range rows {
		digest := ""
		if digests {
			digest = r.Digest + "\t"
		}
		fmt.Fprintf(table, "%s\t%s\t%s%s\t%s\t%s\n", r.Repository, r.Tag, digest, idFor(r.ID, full), ago(r.Created), units.HumanSizeWithPrecision(float64(r.Size), 3))
	}
	return table.Flush()
}

func printIDs(w io.Writer, rows []imageRow, full bool) error {
	var shown []string
	for _, r := range rows {
		if id := idFor(r.ID, full); !slices.Contains(shown, id) {
			shown = append(shown, id)
			fmt.Fprintln(w, id)
		}
	}
	return nil
}

func printJSONLines[T any](w io.Writer, rows []T) error {
	for _, r := range rows {
		if err := json.NewEncoder(w).Encode(r); err != nil {
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

var tagCommand = &urfave.Command{
	Name:      "tag",
	Usage:     "give an image one more name",
	ArgsUsage: "IMAGE NAME[:TAG]",
	Action: func(ctx *urfave.Context) error {
		if ctx.NArg() != 2 {
			return errors.New("tag requires an image and a name: see tag --help")
		}
		name, err := image.FullTag(ctx.Args().Get(1))
		if err != nil {
			return err
		}
		s, err := store.Open(ctx.String("root"))
		if err != nil {
			return err
		}
		return interruptible(func(context.Context) error { return s.Tag(ctx.Args().First(), name) })
	},
}

var rmiCommand = &urfave.Command{
	Name:      "rmi",
	Usage:     "remove images",
	ArgsUsage: "IMAGE...",
	Description: "A name is taken off its image. With its last name the image is removed, and what only it needed.\n" +
		"An image that a container needs stays; with -f it loses its names.",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "remove all names; do not complain about missing images", DisableDefaultText: true},
	},
	Action: func(ctx *urfave.Context) error {
		if !ctx.Args().Present() {
			return errors.New("rmi requires an image: see rmi --help")
		}
		s, err := store.Open(ctx.String("root"))
		if err != nil {
			return err
		}
		return interruptible(func(until context.Context) (failed error) {
			for _, ref := range ctx.Args().Slice() { // one that has begun is removed to the end
				if until.Err() != nil {
					return context.Cause(until)
				}
				done, err := s.RemoveImage(ref, ctx.Bool("force"))
				for _, line := range done {
					fmt.Println(line)
				}
				if ctx.Bool("force") && errors.Is(err, store.ErrNoImage) {
					continue
				}
				failed = errors.Join(failed, err)
			}
			return failed
		})
	},
}
