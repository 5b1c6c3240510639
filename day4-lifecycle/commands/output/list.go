package output

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
)

// List reads the --format of a list: table, json, or a template like "table
// {{.ID}}\t{{.Names}}". It returns a function that prints rows in this format.
// columns is the template for table, and titles is the row of headings.
func List[T any](format, columns string, titles T) (func(w io.Writer, rows []T) error, error) {
	switch format {
	case "table", "":
		format = "table " + columns
	case "json":
		format = "{{json .}}"
	}
	text, table := strings.CutPrefix(format, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	line, err := template.New("format").Funcs(functions).Option("missingkey=error").Parse(text + "\n")
	if err == nil {
		var empty T
		err = line.Execute(io.Discard, empty)
	}
	if err != nil {
		return nil, fmt.Errorf("invalid --format %q: %w", format, err)
	}
	return func(w io.Writer, rows []T) error {
		buffer := bufio.NewWriter(w) // a tabwriter writes each cell
		out := tabwriter.NewWriter(buffer, 0, 0, 3, ' ', tabwriter.DiscardEmptyColumns)
		if !table {
			out.Init(buffer, 0, 8, 0, '\t', 0)
		} else if err := line.Execute(out, titles); err != nil {
			return err
		}
		for _, r := range rows {
			if err := line.Execute(out, r); err != nil {
				return err
			}
		}
		return errors.Join(out.Flush(), buffer.Flush())
	}, nil
}
