package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
)

// AsJSON is a value with the names that it has in JSON: those that people know
// from Docker's templates.
func AsJSON(v any) (m any) {
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

// Functions are those of Docker's functions that people use.
var Functions = template.FuncMap{
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
