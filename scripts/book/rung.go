package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	udiff "github.com/aymanbagabas/go-udiff"
)

// rungMarker stands above a diff fence: the rung's parent, the rung, and where
// wanted the part of the rung, from one expression to the next, and the lines
// of context.
//
//	[rungdiff]:# (../../day1-namespaces/steps/08-new-names ../../day1-namespaces/steps/09-proc)
//	[rungdiff]:# (PARENT RUNG /^func main/ /^}/ 2)
var rungMarker = regexp.MustCompile(`^\[rungdiff\]:# ?\((\S+) (\S+)(?: /((?:[^/\\]|\\.)*)/ /((?:[^/\\]|\\.)*)/)?(?: (\d+))?\)\s*$`)

// A rungDiff is what one marker asks for.
type rungDiff struct {
	parent, rung string     // files, as the marker names them
	all, lines   []diffLine // of the rung, and of the part of it
	context      int
}

type diffLine struct {
	op   byte // ' ', '+' or '-'
	text string
	line int // in the rung; for a removed line, that of the next one that stays
}

// rungFile is the program of a rung, which is its directory.
func rungFile(dir, name string) string {
	if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.IsDir() {
		return path.Join(name, "main.go")
	}
	return name
}

// readRungDiff compares the two rungs of a marker, on a page in dir.
func readRungDiff(dir string, m []string) (*rungDiff, error) {
	d := &rungDiff{parent: rungFile(dir, m[1]), rung: rungFile(dir, m[2]), context: 1}
	if m[5] != "" {
		d.context, _ = strconv.Atoi(m[5])
	}
	before, err := os.ReadFile(filepath.Join(dir, d.parent))
	if err != nil {
		return nil, err
	}
	after, err := os.ReadFile(filepath.Join(dir, d.rung))
	if err != nil {
		return nil, err
	}
	if d.all, err = compare(string(before), string(after)); err != nil {
		return nil, err
	}
	from, to, err := part(string(after), m[3], m[4])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.rung, err)
	}
	for _, l := range d.all {
		if l.line >= from && l.line <= to {
			d.lines = append(d.lines, l)
		}
	}
	return d, nil
}

func compare(before, after string) (lines []diffLine, err error) {
	all := strings.Count(before, "\n") + strings.Count(after, "\n")
	u, err := udiff.ToUnifiedDiff("", "", before, udiff.Lines(before, after), all)
	if err != nil {
		return nil, err
	}
	ops := map[udiff.OpKind]byte{udiff.Equal: ' ', udiff.Insert: '+', udiff.Delete: '-'}
	for _, h := range u.Hunks {
		for _, l := range h.Lines {
			if l.Content == "" { // after the last line
				continue
			}
			lines = append(lines, diffLine{op: ops[l.Kind], text: strings.TrimSuffix(l.Content, "\n")})
		}
	}
	slide(lines)
	at := 1
	for i := range lines {
		lines[i].line = at
		if lines[i].op != '-' {
			at++
		}
	}
	return lines, nil
}

// slide moves an insertion down to where it is a whole: a function with the blank
// line before it, not the end of one function and the beginning of the next.
func slide(lines []diffLine) {
	for i := 0; i < len(lines); i++ {
		if lines[i].op != '+' || i > 0 && lines[i-1].op != ' ' {
			continue
		}
		end := i
		for end < len(lines) && lines[end].op == '+' {
			end++
		}
		for n := 0; end+n < len(lines) && lines[end+n].op == ' ' && lines[end+n].text == lines[i+n].text; n++ {
			if n+1 < end-i && lines[i+n+1].text == "" {
				for j := i; j <= i+n; j++ {
					lines[j].op = ' '
				}
				for j := end; j <= end+n; j++ {
					lines[j].op = '+'
				}
				break
			}
		}
		for i < len(lines) && lines[i].op != ' ' {
			i++
		}
	}
}

// part is the first and last line from one expression to the next after it,
// as embedmd has it; without expressions all lines.
func part(text, start, end string) (from, to int, err error) {
	if start == "" {
		return 1, strings.Count(text, "\n") + 1, nil
	}
	first, last := [2]int{}, [2]int{}
	for i, expression := range []string{start, end} {
		re, err := regexp.Compile("(?m)" + expression)
		if err != nil {
			return 0, 0, err
		}
		at := re.FindStringIndex(text[first[1]:])
		if at == nil {
			return 0, 0, fmt.Errorf("no match for /%s/", expression)
		}
		last = [2]int{first[1] + at[0], first[1] + at[1]}
		if i == 0 {
			first = last
		}
	}
	return 1 + strings.Count(text[:first[0]], "\n"), 1 + strings.Count(text[:last[1]], "\n"), nil
}

// String is the text of the fence. Unchanged parts are cut to the context; the line
// between them says where in the rung we are.
func (d *rungDiff) String() string {
	near := make([]bool, len(d.lines))
	for i, l := range d.lines {
		if l.op != ' ' {
			for j := max(0, i-d.context); j <= min(len(d.lines)-1, i+d.context); j++ {
				near[j] = true
			}
		}
	}
	for i := range d.lines { // a header would take as much room as the one line it hides
		if i > 0 && i+1 < len(near) && near[i-1] && near[i+1] {
			near[i] = true
		}
	}
	var out strings.Builder
	within, gone := "", 0
	for i, l := range d.lines {
		if gone++; l.op != '-' {
			gone = 0
		}
		if gone == 2 { // how many lines go, from here on
			n := 1
			for i+n < len(d.lines) && d.lines[i+n].op == '-' {
				n++
			}
			if n > maxGone {
				fmt.Fprintf(&out, "-... and %d lines more\n", n)
			} else {
				gone = -maxGone
			}
		}
		if near[i] && gone < 2 {
			if i == 0 || !near[i-1] {
				fmt.Fprintf(&out, "@@ line %d%s @@\n", l.line, within)
			}
			fmt.Fprintf(&out, "%c%s\n", l.op, l.text)
		}
		if m := declaration.FindStringSubmatch(l.text); m != nil && l.op != '-' {
			within = ", in " + m[1]
		} else if l.text == "}" && l.op != '-' {
			within = ""
		}
	}
	return out.String()
}

// maxGone is how many removed lines are shown before the rest is only counted: what
// is added is the lesson.
const maxGone = 3

var declaration = regexp.MustCompile(`^(func (?:\([^)]*\) )?\w+|type \w+).*[{(]$`)

// withRungs is the page's source with its diffs made anew.
func (p *page) withRungs(source []byte) ([]byte, *failure) {
	var out []string
	lines := strings.Split(string(source), "\n")
	inFence := false
	for i := 0; i < len(lines); i++ {
		out = append(out, lines[i])
		if strings.HasPrefix(lines[i], "```") {
			inFence = !inFence
		}
		if inFence || !strings.HasPrefix(lines[i], "[rungdiff]:#") {
			continue
		}
		m := rungMarker.FindStringSubmatch(lines[i])
		if m == nil {
			return nil, &failure{p.path, i + 1, "want [rungdiff]:# (PARENT RUNG), then where wanted /START/ /END/ and the lines of context"}
		}
		d, err := readRungDiff(filepath.Dir(p.path), m)
		if err != nil {
			return nil, &failure{p.path, i + 1, err.Error()}
		}
		text := d.String()
		if text == "" {
			return nil, &failure{p.path, i + 1, "nothing differs here"}
		}
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "```") {
			for i += 2; i < len(lines) && !strings.HasPrefix(lines[i], "```"); i++ {
			}
		}
		out = append(out, "```diff", strings.TrimSuffix(text, "\n"), "```")
	}
	return []byte(strings.Join(out, "\n")), nil
}

// checkLadder wants every line of the day's Go rungs on its pages in Go: embedded,
// added by a diff, or kept by a diff from a rung that is there.
func checkLadder(day string, pages ...*page) (failures []failure) {
	last := pages[len(pages)-1]
	dir := filepath.Dir(last.path)
	rungs, _ := filepath.Glob(filepath.Join(dir, "..", "..", day+"-*", "steps", "[0-9][0-9]-*", "main.go"))
	shown := map[string][]bool{}
	for _, rung := range rungs { // in the order of the ladder: a parent comes before what grew from it
		source, err := os.ReadFile(rung)
		if err != nil {
			return append(failures, failure{last.path, 1, err.Error()})
		}
		text := strings.Split(strings.TrimSuffix(string(source), "\n"), "\n")
		have := make([]bool, len(text)+2) // by line, from 1
		shown[rung] = have
		for _, p := range pages {
			p.showsOf(rung, string(source), have, shown)
		}
		var absent []string
		for i, line := range text {
			if !have[i+1] && strings.TrimSpace(line) != "" {
				absent = append(absent, strconv.Itoa(i+1))
			}
		}
		if len(absent) > 0 {
			failures = append(failures, failure{last.path, last.lineAt(len(last.source)), fmt.Sprintf(
				"not in the book, which shows the whole ladder: %s, lines %s", rung, strings.Join(absent, " "))})
		}
	}
	return failures
}

// showsOf marks the lines of a rung that the page shows.
func (p *page) showsOf(rung, source string, have []bool, shown map[string][]bool) {
	dir := filepath.Dir(p.path)
	lines := strings.Split(string(p.source), "\n")
	for _, f := range p.fences {
		above, text := lines[max(0, f.line-3)], p.text(f)
		if m := marker.FindStringSubmatch(above); m != nil && filepath.Join(dir, m[1]) == rung {
			if at := strings.Index(source, text); at >= 0 {
				from := 1 + strings.Count(source[:at], "\n")
				for i := range strings.Count(text, "\n") {
					have[from+i] = true
				}
			}
		}
		m := rungMarker.FindStringSubmatch(above)
		if m == nil || filepath.Join(dir, rungFile(dir, m[2])) != rung {
			continue
		}
		d, err := readRungDiff(dir, m)
		if err != nil {
			continue // withRungs says so
		}
		before, known := shown[filepath.Join(dir, d.parent)]
		old := 0
		for _, l := range d.all {
			if l.op != '+' {
				old++
			}
			if l.op == ' ' && (!known || before[old]) { // another day's rung is in that day's pages
				have[l.line] = true
			}
		}
		for _, l := range d.lines {
			if l.op == '+' {
				have[l.line] = true
			}
		}
	}
}
