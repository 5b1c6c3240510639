package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/campoy/embedmd/embedmd"
)

// filled is the page with its code taken from the sources anew.
func (p *page) filled() ([]byte, *failure) {
	var out bytes.Buffer
	err := embedmd.Process(&out, bytes.NewReader(p.source), embedmd.WithBaseDir(filepath.Dir(p.path)))
	if err != nil {
		f := failure{p.path, 1, err.Error()}
		if line, what, found := strings.Cut(f.what, ":"); found { // embedmd's own "12: could not ..."
			if n, err := strconv.Atoi(line); err == nil {
				f.line, f.what = n, strings.TrimSpace(what)
			}
		}
		return nil, &f
	}
	return p.withRungs(out.Bytes())
}

var marker = regexp.MustCompile(`^\[embedmd\]:# ?\(([^\s)]+)`)

// checkCode compares each piece of code with the source it is taken from. Go
// code without a marker could not be compared, so it is a fault too.
func (p *page) checkCode() (failures []failure) {
	out, failed := p.filled()
	if failed != nil {
		return []failure{*failed}
	}
	is, want := strings.Split(string(p.source), "\n"), strings.Split(string(out), "\n")
	if !bytes.Equal(p.source, out) {
		q := parsePage(p.path, out)
		if len(p.fences) != len(q.fences) {
			for i := range want {
				if i >= len(is) || is[i] != want[i] {
					return append(failures, failure{p.path, i + 1, "embedded code is missing: run go run ./scripts/book embed"})
				}
			}
		}
		for i, f := range p.fences {
			if a, b := p.text(f), q.text(q.fences[i]); a != b {
				failures = append(failures, p.drift(is, f, a, b))
			}
		}
	}
	for _, f := range p.fences {
		if above := f.line - 3; f.lang() == "go" && (above < 0 || !marker.MatchString(is[above])) {
			failures = append(failures, failure{p.path, f.line - 1, "Go code that is not taken from a source: put an [embedmd] marker above it"})
		}
	}
	return failures
}

func (p *page) drift(lines []string, f fence, is, want string) failure {
	source := "its source"
	if m := marker.FindStringSubmatch(lines[max(0, f.line-3)]); m != nil {
		source = m[1]
	} else if m := rungMarker.FindStringSubmatch(lines[max(0, f.line-3)]); m != nil {
		source = m[2]
	}
	line, is, want := firstDifference(is, want)
	return failure{p.path, f.line + line, fmt.Sprintf("differs from %s: run go run ./scripts/book embed\n  the page:   %s\n  the source: %s", source, is, want)}
}

// fill rewrites the page, if its code is not that of the sources.
func (p *page) fill() (changed bool, failed *failure, err error) {
	out, failed := p.filled()
	if failed != nil || bytes.Equal(out, p.source) {
		return false, failed, nil
	}
	return true, nil, os.WriteFile(p.path, out, 0o644)
}
