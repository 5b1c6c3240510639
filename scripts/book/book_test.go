package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/go-docker/scripts/internal/box"
	"golang.org/x/sys/unix"
)

// The pages of this book pass the check: code, translations, links, sections.
func TestCheck(t *testing.T) {
	b, failures, err := readBook(docs(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(failures, b.check()...) {
		t.Error(f)
	}
}

// Every console block shows what its commands print on this kernel.
func TestRun(t *testing.T) {
	if testing.Short() && os.Getenv("GO_DOCKER_VM") == "" {
		t.Skip("typing the pages of the book is for --all")
	}
	box.NeedRoot(t)
	b, _, err := readBook(docs(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pageNames() {
		p := b.pages[0][name]
		if p == nil {
			continue // TestCheck says so
		}
		t.Run(strings.TrimSuffix(name, ".md"), func(t *testing.T) {
			for _, f := range runPage(t, repository(t), p) {
				t.Error(f)
			}
		})
	}
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := repositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func docs(t *testing.T) string {
	t.Helper()
	return relative(filepath.Join(repository(t), "docs"))
}

func runPage(t *testing.T, root string, p *page) []failure {
	t.Helper()
	failures, _ := runWith(t, root, p, func(r *runner) { r.alone = root == repository(t) })
	return failures
}

// runWith runs a page with a runner that has been changed.
func runWith(t *testing.T, root string, p *page, change func(*runner)) ([]failure, []replacement) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	r, err := newRunner(root)
	if err != nil {
		t.Fatal(err)
	}
	change(r)
	failures, changes, err := r.page(p)
	if err != nil {
		t.Fatal(err)
	}
	return failures, changes
}

// fixture is a page in a directory of its own, which is also where it runs.
func fixture(t *testing.T, text string) *page {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return parsePage(path, []byte(text))
}

// expect compares failures with what they should be, "LINE: part of the text".
func expect(t *testing.T, got []failure, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("not found: %s", want[i])
		case i >= len(want):
			t.Errorf("too much: %s", got[i])
		default:
			line, what, _ := strings.Cut(want[i], ": ")
			if s := got[i].String(); !strings.Contains(s, "page.md:"+line+": ") || !strings.Contains(s, what) {
				t.Errorf("got %s, want %s", s, want[i])
			}
		}
	}
}
