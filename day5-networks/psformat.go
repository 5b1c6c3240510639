package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
)

type psPrinter func(w io.Writer, rows []psRow) error

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
	line, err := template.New("format").Funcs(templateFuncs).Option("missingkey=error").Parse(text + "\n")
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
