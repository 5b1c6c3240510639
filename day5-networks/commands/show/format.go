package show

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"

	"example.com/go-docker/day5-networks/commands/output"
)

type psPrinter func(w io.Writer, rows []psRow) error

// parseFormat reads table, json, or a template like "table {{.ID}}\t{{.Names}}".
func parseFormat(format string) (psPrinter, error) {
	switch format {
	case "table", "":
		format = `table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}`
	case "json":
		format = "{{json .}}"
	}
	text, table := strings.CutPrefix(format, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	line, err := template.New("format").Funcs(output.Functions).Option("missingkey=error").Parse(text + "\n")
	if err == nil {
		err = line.Execute(io.Discard, psRow{})
	}
	if err != nil {
		return nil, fmt.Errorf("invalid --format %q: %w", format, err)
	}
	return func(w io.Writer, rows []psRow) error {
		buffer := bufio.NewWriter(w) // a tabwriter writes each cell
		out := tabwriter.NewWriter(buffer, 0, 0, 3, ' ', tabwriter.DiscardEmptyColumns)
		if !table {
			out.Init(buffer, 0, 8, 0, '\t', 0)
		}
		titles := psRow{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED AT", "CREATED", "STATE", "STATUS", "PORTS", "NETWORKS", "NAMES"}
		if table {
			if err := line.Execute(out, titles); err != nil {
				return err
			}
		}
		for _, r := range rows {
			if err := line.Execute(out, r); err != nil {
				return err
			}
		}
		return errors.Join(out.Flush(), buffer.Flush())
	}, nil
}
