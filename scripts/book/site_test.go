package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// printed is the body of a page of its own, as the site has it.
func printed(t *testing.T, p *page) string {
	t.Helper()
	root := filepath.Join(filepath.Dir(p.path), "../..")
	s := &site{book: &book{docs: filepath.Join(root, "docs")}, root: root, pages: map[string]string{}, sources: []map[string]bool{{}, {}}}
	body, err := s.render(p, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestPrint(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"a rung", rungMark + diffed, []string{
			`href="source/day1-x/steps/09-b/main.go.html">day1-x/steps/09-b/main.go</a><span>changed from 08-a</span>`,
			`<span class="l ins"><span class="op">+</span><span class="c1">// Step 9.`, `<span class="l del"><span class="op">-</span>`,
			`<span class="l ins"><span class="op">+</span><span class="w">    </span><span class="nf">b</span>`}},
		{"a part of a file", "# Go\n\n[embedmd]:# (../../day1-x/steps/08-a/main.go go /^func main/ /^}/)\n```go\nfunc main() {\n\ta()\n}\n```\n", []string{
			`main.go.html#L4">day1-x/steps/08-a/main.go lines 4–6</a>`}},
		{"two versions", "cgroup v2:\n\n```console v2\n$ a\n```\n\ncgroup v1:\n\n```console v1\n$ b\n```\n", []string{
			`<div class="pair"`, `data-version="v2"><p class="label">cgroup v2</p><figure class="code console"><pre`, `data-version="v1"><p class="label">cgroup v1</p><figure`}},
		{"one version", "```console v1\n$ b\n```\n", []string{`<figcaption><span class="v1">cgroup v1</span></figcaption>`}},
		{"prompts that change", "```console\n$ a\nout\n$ b \\\n> c\n$ sh\n# d\n# sh\n/ # e\n/tmp # f\n^C\n/tmp # g\n```\n", []string{
			"data-copy=\"a\nb \\\nc\nsh\"", "data-copy=\"d\nsh\"", "data-copy=\"e\nf\"", `data-copy="g"`}},
	} {
		body := printed(t, ladder(t, c.text))
		for _, want := range c.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %s in\n%s", c.name, want, body)
			}
		}
	}
}

func TestSite(t *testing.T) {
	b, _, err := readBook(docs(t))
	if err != nil {
		t.Fatal(err)
	}
	files, err := makeSite(b, repository(t))
	if err != nil {
		t.Fatal(err)
	}
	var counts []int
	for _, l := range languages {
		show := files[l.Dir+"/show.html"]
		counts = append(counts, bytes.Count(show, []byte(`<section class="slide"`)))
		if bytes.Contains(show, []byte("<hr>")) || bytes.Contains(show, []byte("embedmd")) {
			t.Errorf("%s: a divider or a marker is to be seen", l.Dir)
		}
		if !bytes.Contains(files[l.Dir+"/day2-exercise-3.html"], []byte("<details><summary>")) {
			t.Errorf("%s: no page of exercise day2 3", l.Dir)
		}
	}
	if counts[0] < 10 || counts[0] != counts[1] {
		t.Errorf("%d slides", counts)
	}
}
