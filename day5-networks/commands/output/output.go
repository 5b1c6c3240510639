// Package output formats what commands print: Docker's columns, identifiers,
// sizes, times and templates. The ladder has no rung for it.
package output

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"

	"example.com/go-docker/day5-networks/image"
)

// A Table has Docker's columns.
type Table struct{ *tabwriter.Writer }

// NewTable begins a table on standard output; Flush prints it.
func NewTable(titles ...string) Table {
	t := Table{tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)}
	t.Row(titles...)
	return t
}

// Row adds a line.
func (t Table) Row(fields ...string) { fmt.Fprintln(t, strings.Join(fields, "\t")) }

// ID returns an image's identifier in full, or as short as Docker shows it.
func ID(id string, full bool) string {
	if full {
		return id
	}
	return image.ShortID(id)
}

// Ago shows a time as Docker does. Reproducible images have no time, or 1970.
func Ago(t time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return units.HumanDuration(time.Since(t)) + " ago"
}

// Size shows a number of bytes as Docker does, in powers of 1000.
func Size(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }
