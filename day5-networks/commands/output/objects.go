package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"
)

// Objects reads the --format of inspect: a template, or nothing for JSON. It
// returns a function that prints objects in this format on standard output.
func Objects(format string) (func(all []any) error, error) {
	line, err := template.New("format").Funcs(functions).Option("missingkey=error").Parse(format + "\n")
	if err != nil {
		return nil, fmt.Errorf("invalid --format %q: %w", format, err)
	}
	return func(all []any) error {
		if format == "" {
			out := json.NewEncoder(os.Stdout)
			out.SetIndent("", "    ")
			out.SetEscapeHTML(false)
			return out.Encode(all)
		}
		for _, v := range all {
			if err := line.Execute(os.Stdout, asJSON(v)); err != nil {
				return fmt.Errorf("--format: %w", err)
			}
		}
		return nil
	}, nil
}

// asJSON gives a value's fields the names that they have in JSON, which people
// know from Docker's templates.
func asJSON(v any) (m any) {
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	if err := in.Decode(&m); err != nil {
		return v
	}
	return m
}

// functions are the ones of Docker's template functions that people use.
var functions = template.FuncMap{
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
	"split": func(text, separator string) (list []any) { // join takes this
		for _, word := range strings.Split(text, separator) {
			list = append(list, word)
		}
		return list
	},
	"upper": strings.ToUpper,
	"lower": strings.ToLower,
}
