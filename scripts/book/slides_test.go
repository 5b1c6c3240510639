package main

import (
	"bytes"
	"path/filepath"
	"testing"
)

func TestSlides(t *testing.T) {
	root, err := repositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := readBook(filepath.Join(root, "docs"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := makeSite(b, root)
	if err != nil {
		t.Fatal(err)
	}
	var counts []int
	for _, l := range languages {
		page := files[l.Dir+"/show.html"]
		counts = append(counts, bytes.Count(page, []byte(`<section class="slide"`)))
		if bytes.Contains(page, []byte("<hr>")) || bytes.Contains(page, []byte("embedmd")) {
			t.Errorf("%s: a divider or a marker is to be seen", l.Dir)
		}
	}
	// The timetable in workshop.md has their numbers.
	if counts[0] != 14 || counts[1] != 14 {
		t.Errorf("%d slides, want 14 in each language", counts)
	}
}
