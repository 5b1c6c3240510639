package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestRecord(t *testing.T) {
	frames, err := record(t.TempDir(), `printf '\033[31mred\033[0m <plain>\n'`)
	if err != nil {
		t.Fatal(err)
	}
	picture := string(moving(frames, "a <title>"))
	for d := xml.NewDecoder(strings.NewReader(picture)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	last := picture[strings.LastIndex(picture, "<g transform"):]
	for _, want := range []string{`class="c1">red</text>`, "&lt;plain&gt;</text>"} {
		if !strings.Contains(last, want) {
			t.Errorf("the last frame does not have %s:\n%s", want, last)
		}
	}
	if frames[0].at > time.Second || len(frames) < 10 {
		t.Errorf("%d frames, the first at %s: the typing is not to be seen", len(frames), frames[0].at)
	}
	if !strings.Contains(picture, "prefers-reduced-motion: no-preference") {
		t.Error("moves for those who want no motion")
	}
}
