// Package ladder_test holds the chapters' ladders, dayN-topic/steps, to their sizes: a rung is read in minutes, and
// its difference from the one before is the lesson. CONTRIBUTING.md has the rules.
package ladder_test

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root        = "../.."
	mostLines   = 120 // of a Go rung
	lastLines   = 150 // of a chapter's last
	mostChanged = 80  // lines of a Go rung that its parent does not have
	shellLeast  = 20  // lines of a shell rung
	shellMost   = 45
)

// mostOfDay is how many changed lines all Go rungs of a chapter may have; 300 if it is not here.
var mostOfDay = map[string]int{"day3-images": 350}

// libraries are what the Go rungs of a chapter may import beside the standard library and x/sys.
var libraries = map[string][]string{"day5-networks": {
	"github.com/vishvananda/netlink", "github.com/vishvananda/netns", "github.com/miekg/dns",
	"github.com/google/nftables", "github.com/google/nftables/binaryutil", "github.com/google/nftables/expr",
}}

// A head is the three comment lines a rung begins with.
var head = regexp.MustCompile(`^(?:#!/bin/sh\n)?(?://|#) Step (\d+)(?:, from (?:(day) (\d)'s )?(step (\d+)|nothing))?\. New: .+\n` +
	`(?://|#) Run: .+\n(?://|#) Still wrong: .+\n`)

type rung struct {
	dir, name string // day1-namespaces, 08-new-names
	number    int
	text      string
}

func (r rung) program() bool { return !strings.HasSuffix(r.name, ".sh") }

func (r rung) lines() int { return strings.Count(r.text, "\n") }

// ladders reads all rungs, by chapter, in order.
func ladders(t *testing.T) map[string][]rung {
	t.Helper()
	days := map[string][]rung{}
	paths, err := filepath.Glob(root + "/day[0-9]*-*/steps/[0-9][0-9]-*")
	if err != nil || len(paths) == 0 {
		t.Fatal("no steps found: ", err)
	}
	for _, path := range paths {
		r := rung{dir: filepath.Base(filepath.Join(path, "../..")), name: filepath.Base(path)}
		if r.program() {
			path += "/main.go"
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r.text = string(text)
		if r.number, err = strconv.Atoi(r.name[:2]); err != nil {
			t.Fatal(err)
		}
		days[r.dir] = append(days[r.dir], r)
	}
	return days
}

// parentOf finds the file that a rung is compared with: the one its head names, or the Go rung before it.
func parentOf(t *testing.T, r rung, before string, m []string) string {
	t.Helper()
	if m[4] == "" || m[4] == "nothing" {
		return map[bool]string{true: before}[m[4] == ""]
	}
	day := r.dir
	if m[2] != "" {
		day = "day" + m[3] + "-*"
	}
	number, _ := strconv.Atoi(m[5]) // the pattern wants digits
	found, _ := filepath.Glob(fmt.Sprintf("%s/%s/steps/%02d-*/main.go", root, day, number))
	if len(found) != 1 {
		t.Errorf("%s/steps/%s: its head names a step that there is not: %q", r.dir, r.name, m[0])
		return ""
	}
	return found[0]
}

// changed counts the lines that diff marks with >.
func changed(t *testing.T, from, to string) int {
	t.Helper()
	out, err := exec.Command("diff", from, to).Output()
	if err != nil && (len(out) == 0 || err.(*exec.ExitError).ExitCode() != 1) {
		t.Fatalf("diff %s %s: %v", from, to, err)
	}
	return bytes.Count(out, []byte("\n> ")) + bytes.Count(out, []byte("\n>\n"))
}

func imports(t *testing.T, r rung) (paths []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), r.name, r.text, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestSizes(t *testing.T) {
	for day, rungs := range ladders(t) {
		sum, before := 0, ""
		for i, r := range rungs {
			path := fmt.Sprintf("%s/%s/steps/%s", root, day, r.name)
			m := head.FindStringSubmatch(r.text)
			if m == nil || m[1] != strconv.Itoa(r.number) {
				t.Errorf("%s: does not begin with the three lines of step %d: New, Run, Still wrong", path, r.number)
				continue
			}
			for _, line := range strings.Split(strings.TrimSpace(m[0]), "\n") {
				if len(line) > 120 {
					t.Errorf("%s: longer than 120 characters: %s", path, line)
				}
			}
			if !r.program() {
				if !strings.Contains(r.text, `/lib.sh"`+"\n") {
					t.Errorf("%s: does not begin with lib.sh", path)
				}
				if n := r.lines(); n < shellLeast || n > shellMost {
					t.Errorf("%s: %d lines, not %d to %d", path, n, shellLeast, shellMost)
				}
				continue
			}
			path += "/main.go"
			for _, name := range imports(t, r) {
				if strings.Contains(name, ".") && !strings.HasPrefix(name, "golang.org/x/sys/") && !slices.Contains(libraries[day], name) {
					t.Errorf("%s: imports %s: steps need the standard library and x/sys, and nothing else that is not in libraries", path, name)
				}
			}
			most := mostLines
			if !slices.ContainsFunc(rungs[i+1:], rung.program) {
				most = lastLines
			}
			if r.lines() > most {
				t.Errorf("%s: %d lines, more than %d", path, r.lines(), most)
			}
			n := r.lines()
			if parent := parentOf(t, r, before, m); parent != "" {
				n = changed(t, parent, path)
			}
			if before != "" && n > mostChanged {
				t.Errorf("%s: %d lines changed, more than %d", path, n, mostChanged)
			}
			t.Logf("%s/%-16s %3d lines, %3d changed", day, r.name, r.lines(), n)
			sum, before = sum+n, path
		}
		most := 300
		if n := mostOfDay[day]; n != 0 {
			most = n
		}
		t.Logf("%s: %d lines changed in all", day, sum)
		if sum > most {
			t.Errorf("%s: the Go steps change %d lines, more than %d", day, sum, most)
		}
	}
}

// Every step is named in a test beside it. (After a run of all tests, helpers_test.go fails if one was not run.)
func TestEveryStepIsTested(t *testing.T) {
	for day, rungs := range ladders(t) {
		tests, err := filepath.Glob(root + "/" + day + "/steps/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, path := range tests {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
		for _, r := range rungs {
			if !bytes.Contains(all, []byte(`"`+r.name+`"`)) {
				t.Errorf("%s/steps: no test runs %s", day, r.name)
			}
		}
	}
}

// Every step that a chapter has stands in its README, with its size.
func TestReadmeIsTheMap(t *testing.T) {
	for day, rungs := range ladders(t) {
		text, err := os.ReadFile(root + "/" + day + "/README.md")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rungs {
			row := regexp.MustCompile(`(?m)^\| \[` + regexp.QuoteMeta(r.name) + `\]\(steps/[^)]*\) \| (\d+) \|`).FindSubmatch(text)
			switch {
			case row == nil:
				t.Errorf("%s/README.md: no row for %s", day, r.name)
			case string(row[1]) != strconv.Itoa(r.lines()):
				t.Errorf("%s/README.md: %s has %d lines, not %s", day, r.name, r.lines(), row[1])
			}
		}
	}
}

// What all ladders share is one file.
func TestSharedFiles(t *testing.T) {
	for _, name := range []string{"lib.sh", "helpers_test.go"} {
		var first []byte
		paths, err := filepath.Glob(root + "/day[0-9]*-*/steps/" + name)
		if err != nil || len(paths) != len(ladders(t)) {
			t.Errorf("%s is in %q, not in each chapter's steps: %v", name, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = text
			}
			if !bytes.Equal(text, first) {
				t.Errorf("%s and %s differ", paths[0], path)
			}
		}
	}
}
