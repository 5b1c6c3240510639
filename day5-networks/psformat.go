package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
)

type psPrinter func(w io.Writer, rows []psRow) error

func parseFormat(format string) (psPrinter, error) {
	switch format {
	case "table", "":
		return func(w io.Writer, rows []psRow) error {
			table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
			fmt.Fprintln(table, "CONTAINER ID\tIMAGE\tCOMMAND\tCREATED\tSTATUS\tPORTS\tNAMES")
			for _, r := range rows {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Image, r.Command, r.RunningFor, r.Status, r.Ports, r.Names)
			}
			return table.Flush()
		}, nil
	case "json":
		return func(w io.Writer, rows []psRow) error {
			out := json.NewEncoder(w)
			out.SetEscapeHTML(false)
			for _, r := range rows {
				if err := out.Encode(r); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
	return parseTemplate(format)
}

// templateFuncs are those of Docker's functions that people use.
var templateFuncs = template.FuncMap{
	"json": func(v any) (string, error) {
		var text strings.Builder
		out := json.NewEncoder(&text)
		out.SetEscapeHTML(false)
		err := out.Encode(v)
		return strings.TrimSuffix(text.String(), "\n"), err
	},
	"join": func(list []any, separator string) string {
		words := make([]string, len(list))
		for i, v := range list {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, separator)
	},
	"split": strings.Split,
	"upper": strings.ToUpper,
	"lower": strings.ToLower,
}

// parseTemplate is for a format like "table {{.ID}}\t{{.Names}}".
func parseTemplate(format string) (psPrinter, error) {
	text, table := strings.CutPrefix(format, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	line, err := template.New("format").Funcs(templateFuncs).Option("missingkey=error").Parse(text + "\n")
	if err == nil {
		err = line.Execute(io.Discard, psRow{})
	}
	if err != nil {
		return nil, fmt.Errorf("invalid --format %q: %w", format, err)
	}
	return func(w io.Writer, rows []psRow) error {
		out := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.DiscardEmptyColumns)
		if !table {
			out.Init(w, 0, 8, 0, '\t', 0)
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
		return out.Flush()
	}, nil
}
