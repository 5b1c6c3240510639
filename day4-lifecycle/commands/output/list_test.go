package output

import (
	"strings"
	"testing"
)

type box struct{ ID, Name string }

func TestList(t *testing.T) {
	rows := []box{{"1", "web"}, {"22", "<&>"}}
	for format, want := range map[string]string{
		"":                               "IDENTIFIER   NAME\n1            web\n22           <&>\n",
		"table":                          "IDENTIFIER   NAME\n1            web\n22           <&>\n",
		`table {{.Name}}\t{{.ID}}`:       "NAME   IDENTIFIER\nweb    1\n<&>    22\n",
		"json":                           "{\"ID\":\"1\",\"Name\":\"web\"}\n{\"ID\":\"22\",\"Name\":\"<&>\"}\n",
		`{{upper .Name}}\t{{.ID}}`:       "WEB\t1\n<&>\t22\n",
		`{{join (split .Name "e") "-"}}`: "w-b\n<&>\n",
		`{{json .Name}} {{len .ID}}`:     "\"web\" 1\n\"<&>\" 2\n",
	} {
		show, err := List(format, `{{.ID}}\t{{.Name}}`, box{"IDENTIFIER", "NAME"})
		if err != nil {
			t.Errorf("%q: %v", format, err)
			continue
		}
		var out strings.Builder
		if err := show(&out, rows); err != nil || out.String() != want {
			t.Errorf("%q: %q, %v, want %q", format, out.String(), err, want)
		}
	}
	for _, format := range []string{"{{.Nothing}}", "{{", "table {{.ID}", "{{nothing .ID}}"} {
		if _, err := List(format, "", box{}); err == nil || !strings.Contains(err.Error(), "invalid --format") {
			t.Errorf("%q: %v", format, err)
		}
	}
}
