package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ladder is a page in docs/en of a repository with these two rungs.
func ladder(t *testing.T, text string) *page {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"day1-x/steps/08-a/main.go":   "// Step 8.\npackage main\n\nfunc main() {\n\ta()\n}\n",
		"day1-x/steps/09-b/main.go":   "// Step 9.\npackage main\n\nfunc main() {\n\ta()\n}\n\nfunc b() {\n\tb()\n}\n",
		"docs/en/page.md":             text,
		"day1-x/steps/09-b/x_test.go": "package main\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return parsePage(filepath.Join(root, "docs/en/page.md"), []byte(text))
}

const (
	wholeRung = "# Go\n\n[embedmd]:# (../../day1-x/steps/08-a/main.go)\n```go\n// Step 8.\npackage main\n\nfunc main() {\n\ta()\n}\n```\n"
	rungMark  = "\n[rungdiff]:# (../../day1-x/steps/08-a ../../day1-x/steps/09-b)\n"
	diffed    = "```diff\n@@ line 1 @@\n-// Step 8.\n+// Step 9.\n package main\n@@ line 6, in func main @@\n }\n+\n+func b() {\n+\tb()\n+}\n```\n"
)

func TestRungDiff(t *testing.T) {
	p := ladder(t, wholeRung+rungMark+"\nText.\n")
	if changed, failed, err := p.fill(); !changed || failed != nil || err != nil {
		t.Fatal(changed, failed, err)
	}
	got, err := os.ReadFile(p.path)
	if want := wholeRung + rungMark + diffed + "\nText.\n"; err != nil || string(got) != want {
		t.Errorf("%v, got:\n%s", err, got)
	}
	part := strings.Replace(rungMark, "09-b)", "09-b /^func b/ /^}/ 0)", 1)
	p = ladder(t, part+"```diff\n```\n")
	if _, failed, err := p.fill(); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	if got, _ := os.ReadFile(p.path); !strings.HasSuffix(string(got), "```diff\n@@ line 8 @@\n+func b() {\n+\tb()\n+}\n```\n") {
		t.Errorf("got:\n%s", got)
	}
	if got, err := compare("a\nb\nc\nd\ne\ng\nf\n", "a\nf\n"); err != nil || (&rungDiff{lines: got}).String() != "@@ line 2 @@\n-b\n-... and 4 lines more\n" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := compare("a\nb\nc\nd\ne\n", "a\n"); err != nil || (&rungDiff{lines: got}).String() != "@@ line 2 @@\n-b\n-c\n-d\n-e\n" {
		t.Errorf("%v, %v", got, err)
	}
	expect(t, ladder(t, wholeRung+rungMark+strings.Replace(diffed, "+\tb()", "+\tc()", 1)).checkCode(), "23: differs from ../../day1-x/steps/09-b")
	expect(t, ladder(t, "# Go\n\n[rungdiff]:# (../../day1-x/steps/08-a)\n").checkCode(), "3: want [rungdiff]")
	expect(t, ladder(t, "# Go\n\n[rungdiff]:# (../../day1-x/steps/08-a ../../day1-x/steps/10-c)\n").checkCode(), "3: no such file")
	expect(t, ladder(t, "# Go\n\n[rungdiff]:# (../../day1-x/steps/08-a ../../day1-x/steps/08-a)\n").checkCode(), "3: nothing differs")
}

// A page in Go shows every line of its ladder.
func TestLadder(t *testing.T) {
	expect(t, checkLadder("day1", ladder(t, wholeRung+rungMark+diffed)))
	expect(t, checkLadder("day1", ladder(t, wholeRung)), "12: 09-b/main.go, lines 1 2 4 5 6 8 9 10")
	expect(t, checkLadder("day1", ladder(t, rungMark+diffed)), // what it keeps stands nowhere
		"15: 08-a/main.go, lines 1 2 4 5 6", "15: 09-b/main.go, lines 2 4 5 6")
	// On two pages.
	second := ladder(t, rungMark+diffed)
	first := parsePage(filepath.Join(filepath.Dir(second.path), "first.md"), []byte(wholeRung))
	expect(t, checkLadder("day1", first, second))
	part := strings.Replace(rungMark, "09-b)", "09-b /^func b/ /^}/ 0)", 1)
	expect(t, checkLadder("day1", ladder(t, wholeRung+part+"```diff\n@@ line 8 @@\n+func b() {\n+\tb()\n+}\n```\n")), "20: 09-b/main.go, lines 1")
}
