package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

const measured = `{"section":"start","row":"ours","seconds":[0.010,0.020,0.012],"cpu":0.005,"kilobytes":2048}
{"section":"start","row":"runc","seconds":[0.040,0.040,0.060],"kilobytes":10240}
{"section":"start","row":"crun: does not run here","seconds":null}
`

func TestFill(t *testing.T) {
	sections, err := read(strings.NewReader(measured))
	if err != nil {
		t.Fatal(err)
	}
	page := "a\n\n<!-- figures: start -->\nold\n<!-- /figures -->\n\nz\n"
	want := "a\n\n<!-- figures: start -->\n\n" + `| 3 rounds | median | p10–p90 | CPU | MB at most | ÷ runc |
|---|--:|--:|--:|--:|--:|
| **ours** | 12.0 ms | 10.0 ms–20.0 ms | 5.00 ms | 2.0 | 0.25 (0.20–0.50) |
| runc | 40.0 ms | 40.0 ms–60.0 ms |  | 10.0 | 1 |
` + "\n<!-- /figures -->\n\nz\n"
	for range 2 { // what is there is replaced
		if page, err = fill(page, sections, languages[0]); err != nil || page != want {
			t.Errorf("%v\ngot  %q\nwant %q", err, page, want)
		}
	}
	if _, err := fill("<!-- figures: pull -->\n<!-- /figures -->", sections, languages[0]); err == nil {
		t.Error("a section without measurements is taken")
	}
}

// Memory is no time.
func TestFillMemory(t *testing.T) {
	sections, err := read(strings.NewReader(`{"section":"m","row":"ours","seconds":null,"megabytes":[1.5,2,2.5]}
{"section":"m","row":"conmon","megabytes":[0.5,0.5,0.5]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `| 3 processes | median | p10–p90 | ÷ conmon |
|---|--:|--:|--:|
| **ours** | 2.00 MB | 1.50 MB–2.50 MB | 4.00 (3.00–5.00) |
| conmon | 0.50 MB | 0.50 MB–0.50 MB | 1 |
`
	if got := table(sections["m"], languages[0]); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, text := range []string{"", "{", `{"section":"start","row":"ours","seconds":[]}`} {
		if _, err := read(strings.NewReader(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestDraw(t *testing.T) {
	sections, err := read(strings.NewReader(strings.Replace(measured, `"ours"`, `"ours <&>"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range languages {
		picture := draw(sections, w)
		for d := xml.NewDecoder(strings.NewReader(picture)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if strings.Count(picture, "<rect") != 2 || !strings.Contains(picture, w.sections["start"]) || !strings.Contains(picture, "12.0 ms") {
			t.Error(picture)
		}
	}
}
