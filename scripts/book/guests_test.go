package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A block for one cgroup version is typed on that version, whatever machine this
// is: its page is one that TestRun types, and does in a guest of scripts/vm/suite.
func TestGuests(t *testing.T) {
	b, _, err := readBook(docs(t))
	if err != nil {
		t.Fatal(err)
	}
	vm := filepath.Join(repository(t), "scripts/vm")
	for _, name := range []string{"place", "tests"} { // go test keeps a result until a file changes that the test itself has read
		if _, err := os.ReadFile(filepath.Join(vm, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"v1", "v2"} {
		out, err := exec.Command(filepath.Join(vm, "place"), version, "scripts/book").Output()
		if err != nil {
			t.Fatal(err)
		}
		typed := typedIn(t, string(out))
		if len(typed) == 0 {
			t.Errorf("no page is typed in %s", version)
		}
		for _, f := range untyped(b.pages[0], version, typed) {
			t.Error(f)
		}
	}
}

// typedIn lists the pages that a guest types, from what scripts/vm/place prints:
// a package, its tests, and which of their subtests.
func typedIn(t *testing.T, placed string) (typed []string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(placed), "\n") {
		f := append(strings.Fields(line), "", "", "")
		if f[0] != "scripts/book" || !slices.Contains(strings.Split(f[1], "|"), "TestRun") {
			continue
		}
		which, err := regexp.Compile(f[2])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pageNames() {
			if which.MatchString(strings.TrimSuffix(name, ".md")) {
				typed = append(typed, name)
			}
		}
	}
	return typed
}

// untyped finds the blocks for a version on pages that are not typed.
func untyped(pages map[string]*page, version string, typed []string) (failures []failure) {
	for name, p := range pages {
		blocks, failed := p.blocks()
		if failed != nil {
			failures = append(failures, *failed)
		}
		for _, b := range blocks {
			if b.kernel == version && !slices.Contains(typed, name) {
				failures = append(failures, failure{p.path, b.fence.line - 1, "no guest of scripts/vm/suite with " + version + " types this block: put its page into scripts/vm/tests"})
			}
		}
	}
	return failures
}

func TestGuestsFixture(t *testing.T) {
	p := fixture(t, "```console v2\n$ true\n```\n\n```console v1\n$ true\n```\n\n```console\n$ true\n```\n")
	pages := map[string]*page{"day2-go.md": p}
	for _, c := range []struct {
		placed, version string
		want            []string
	}{
		{"scripts/book TestRun ^(day2-.*|requirements)$\n", "v2", nil},
		{"scripts/book TestCheck|TestRun\n", "v2", nil},
		{"scripts/book TestRun ^requirements$\nscripts/book TestRun ^day2-go$\n", "v1", nil},
		{"scripts/book TestRun ^requirements$\n", "v2", []string{"1: no guest of scripts/vm/suite with v2"}},
		{"scripts/book TestRun ^requirements$\n", "v1", []string{"5: no guest of scripts/vm/suite with v1"}},
		{"scripts/book TestCheck\nscripts/check TestRun\n", "v2", []string{"1: no guest"}},
		{"", "v2", []string{"1: no guest"}},
	} {
		expect(t, untyped(pages, c.version, typedIn(t, c.placed)), c.want...)
	}
}
