// Package sizes holds the chapters' programs to their sizes and to one direction
// of imports, so that each can be read room by room.
package sizes

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// In lines of code: those with more than blanks and comments on them.
const (
	roomLines = 600
	fileLines = 200
	funcLines = 50
)

// dayLines are for a whole program, including what it carries over, but not its
// tests, steps and exercises.
var dayLines = map[int]int{1: 1200, 2: 2600, 3: 6500, 4: 8000, 5: 9300}

// imports says which other rooms a room may import. Anything goes where it says
// any; what is for main only, nobody else imports, see mainOnly, and what is for
// the command line, only main and the commands.
var (
	leaves = []string{"hierarchy", "usage", "lock", "boot", "namespace", "terminal", "image", "inroot", "metadata", "compression", "interrupt", "logfile", "inventory", "address", "link", "nft", "firewall", "machine", "ports", "names", "etc", "talk"}
	low    = slices.Concat(leaves, []string{"layer", "chain", "mountfd", "confine", "rootless"})
	any    = []string{"*"}

	imports = map[string][]string{
		"metadata": {"inroot"}, "lock": {"inroot"},
		"layer": leaves, "chain": append([]string{"layer"}, leaves...), "mountfd": leaves, "confine": append([]string{"mountfd"}, leaves...), "rootless": leaves,
		"cgroup":    append([]string{"freezer"}, low...),
		"rootfs":    low,
		"container": slices.Concat(low, []string{"cgroup", "rootfs"}),
		"store":     low,
		"snapshot":  append([]string{"store"}, low...), "containers": append([]string{"store", "rootfs"}, low...),
		"cli": {"container"},
		// Day 4: a shim imports what its container needs, and of the store nothing.
		"wire": leaves, "freezer": leaves, "transfer": low, "console": {"container", "wire"},
		"state":   {"boot", "container", "cgroup", "inventory", "lock", "logfile", "network", "ports"},
		"join":    slices.Concat(low, []string{"container", "cgroup", "rootfs"}),
		"streams": {"container", "logfile", "wire"},
		"shim":    slices.Concat(low, []string{"container", "cgroup", "rootfs", "wire", "freezer", "state", "join", "streams", "connection"}),
		// Day 5: what is on the disk, what is in the kernel, and who composes them.
		"firewall": {"address", "nft"}, "machine": {"firewall"}, "endpoint": {"address", "lock", "ports"}, "netstate": {"address", "boot", "endpoint", "lock", "ports"}, "background": {"confine", "lock", "netstate"},
		"describe":   {"address", "endpoint", "firewall", "link", "netstate"},
		"network":    {"background", "describe", "firewall", "link", "lock", "machine", "netstate", "nft", "ports"},
		"connection": {"etc", "inventory", "lock", "netstate", "network", "ports", "state", "wire"},
		"resolver":   {"background", "etc", "names", "netstate", "state"},
		"commit":     any, "registry": any, "archive": any, "lifecycle": any, "oci": any, "demo": any,
		// What commands share; then the commands, which do not import each other.
		"commands/action":    {"container", "store"},
		"commands/output":    {"image"},
		"commands/limits":    {"cgroup"},
		"commands/fetch":     {"commands/action", "image", "registry", "store"},
		"commands/options":   {"address", "cgroup", "commands/limits", "confine", "container", "logfile", "namespace", "network", "ports", "rootfs", "state"},
		"commands/named":     {"commands/action", "container", "containers", "lifecycle"},
		"commands/endpoints": {"network", "ports", "store"},
		"commands/run":       any, "commands/images": any, "commands/inspect": any, "commands/stats": any,
		"commands/control": any, "commands/show": any, "commands/files": any, "commands/networks": any,
		"main": any,
	}
	mainOnly = []string{"demo", "commands/run", "commands/images", "commands/inspect", "commands/stats", "commands/control", "commands/show", "commands/files", "commands/networks"}
)

// exceptions are known, and meant to go: what is too large, in the words of the error,
// and the largest size that it may have until then.
var exceptions = map[string]int{
	"day3-images":    7932,
	"day4-lifecycle": 12869,
	"day5-networks":  19056,
}

type program struct {
	dir, module string
	day         int
	rooms       map[string]*room
}

type room struct {
	lines   int
	imports map[string]bool
	doc     bool
}

func TestSizesAndImports(t *testing.T) {
	t.Chdir("../..")
	dirs, err := filepath.Glob("day[0-9]*-*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no chapters: %v", err)
	}
	used := map[string]bool{}
	tooLarge := func(what string, lines, most int) {
		if allowed, ok := exceptions[what]; ok && lines > most {
			used[what], most = true, allowed
		}
		if lines > most {
			t.Errorf("%s: %d lines of code, at most %d", what, lines, most)
		}
	}
	for _, dir := range dirs {
		p, err := read(dir, tooLarge)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for name, r := range p.rooms {
			total += r.lines
			tooLarge(dir+"/"+name, r.lines, roomLines)
			if !r.doc {
				t.Errorf("%s/%s: no package comment that says from which rung it grew and what it adds", dir, name)
			}
			checkImports(t, dir, name, r)
		}
		most, ok := dayLines[p.day]
		if !ok {
			t.Errorf("%s: no size is set for day %d", dir, p.day)
		}
		tooLarge(dir, total, most)
		t.Logf("%s: %d of %d lines", dir, total, most)
	}
	for what := range exceptions {
		if !used[what] {
			t.Errorf("%s needs no exception any more", what)
		}
	}
}

func checkImports(t *testing.T, dir, name string, r *room) {
	t.Helper()
	allowed, known := imports[name]
	if !known && !slices.Contains(leaves, name) {
		t.Errorf("%s/%s: a room that the rules do not know: what may it import?", dir, name)
	}
	commands := name == "main" || strings.HasPrefix(name, "commands/")
	for other := range r.imports {
		forCommands := other == "cli" || strings.HasPrefix(other, "commands/")
		if name != "main" && slices.Contains(mainOnly, other) || !commands && forCommands || !slices.Contains(allowed, other) && !slices.Equal(allowed, any) {
			t.Errorf("%s/%s must not import %s", dir, name, other)
		}
	}
}

// read reads a chapter's program.
func read(dir string, tooLarge func(what string, lines, most int)) (*program, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	module := regexp.MustCompile(`(?m)^module (\S+)$`).FindStringSubmatch(string(mod))
	day := regexp.MustCompile(`^day([0-9]+)-`).FindStringSubmatch(filepath.Base(dir))
	if module == nil || day == nil {
		return nil, fmt.Errorf("%s: no module or no day", dir)
	}
	p := &program{dir: dir, module: module[1], rooms: map[string]*room{}}
	if p.day, err = strconv.Atoi(day[1]); err != nil {
		return nil, err
	}
	return p, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && slices.Contains([]string{"steps", "exercises", "internal", "testdata"}, e.Name()) {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		return p.readFile(path, tooLarge)
	})
}

func (p *program) readFile(path string, tooLarge func(what string, lines, most int)) error {
	name, err := filepath.Rel(p.dir, filepath.Dir(path))
	if err != nil {
		return err
	}
	if name == "." {
		name = "main"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, text, parser.ParseComments)
	if err != nil {
		return err
	}
	code := codeLines(text)
	tooLarge(path, len(code), fileLines)
	r := p.rooms[name]
	if r == nil {
		r = &room{imports: map[string]bool{}}
		p.rooms[name] = r
	}
	r.lines += len(code)
	r.doc = r.doc || file.Doc != nil
	for _, i := range file.Imports {
		imported, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		if other, ok := strings.CutPrefix(imported, p.module+"/"); ok {
			r.imports[other] = true
		}
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			first, last := files.Position(f.Pos()).Line, files.Position(f.End()).Line
			lines := 0
			for line := range code {
				if first <= line && line <= last {
					lines++
				}
			}
			tooLarge(path+": "+f.Name.Name, lines, funcLines)
		}
	}
	return nil
}

// codeLines are the numbers of the lines that have more than blanks and comments.
func codeLines(text []byte) map[int]bool {
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0) // without comments
	lines := map[int]bool{}
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return lines
		}
		if tok == token.SEMICOLON && literal == "\n" { // which the scanner has put there
			continue
		}
		first := file.Line(pos)
		for line := first; line <= first+strings.Count(literal, "\n"); line++ { // of a raw string
			lines[line] = true
		}
	}
}

// The table of sizes in README, in each language, has what there is to read.
func TestReadme(t *testing.T) {
	t.Chdir("../..")
	dirs, err := filepath.Glob("day[0-9]*-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"README.md", "README.zh-TW.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rows := regexp.MustCompile(`(?m)^\| (?:day|第) \d[^|]*((?:\|[^|]*){3})\|$`).FindAllStringSubmatch(string(text), -1)
		if len(rows) != len(dirs) {
			t.Fatalf("%s: %d rows in the table of sizes, of %d days", path, len(rows), len(dirs))
		}
		for i, row := range rows {
			before := strconv.Itoa(i) // the day before, which a row names
			text := strings.NewReplacer("day "+before, "", "第 "+before, "").Replace(row[1])
			numbers := regexp.MustCompile(`\d+(?:,\d{3})*`).FindAllString(text, -1)
			if want := toRead(t, dirs[i]); !slices.Equal(numbers, want) {
				t.Errorf("%s: day %d has the numbers %v, want %v", path, i+1, numbers, want)
			}
		}
	}
}

// toRead are a chapter's numbers: shell steps, Go steps, their lines to ten, the
// house's to a hundred and, from day 3 on, how many of these are not new.
func toRead(t *testing.T, dir string) []string {
	t.Helper()
	shell, errShell := filepath.Glob(dir + "/steps/[0-9]*.sh")
	steps, errSteps := filepath.Glob(dir + "/steps/[0-9]*/main.go")
	p, err := read(dir, func(string, int, int) {})
	if err := errors.Join(errShell, errSteps, err); err != nil {
		t.Fatal(err)
	}
	rungs := 0
	for _, path := range steps {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rungs += strings.Count(string(text), "\n")
	}
	same := carriedOver(t, dir)
	house, unchanged := 0, 0
	for name, r := range p.rooms {
		house += r.lines
		if same[name] {
			unchanged += r.lines
		}
	}
	numbers := []string{strconv.Itoa(len(shell)), strconv.Itoa(len(steps)), rounded(rungs, 10), rounded(house, 100)}
	if p.day > 2 { // a day before has next to nothing to carry over
		numbers = append(numbers, rounded(unchanged, 100))
	}
	return numbers
}

// carriedOver are the rooms that a chapter has from the one before, unchanged.
func carriedOver(t *testing.T, chapter string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("scripts/carryover.txt")
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string]bool{}
	_, list, _ := strings.Cut(string(text), "-> "+chapter+"\n")
	list, _, _ = strings.Cut(list, " -> ")
	for _, m := range regexp.MustCompile(`(?m)^same +(.+)/$`).FindAllStringSubmatch(list, -1) {
		rooms[m[1]] = true
	}
	return rooms
}

// rounded is a number to the nearest unit, with a comma after the thousands.
func rounded(n, unit int) string {
	n = (n + unit/2) / unit * unit
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

func TestCodeLines(t *testing.T) {
	const text = "// Package x\npackage x\n\n/* two\nlines */\nvar y = `raw\n\nstring` // why\n"
	got := codeLines([]byte(text))
	for line, want := range []bool{false, true, false, false, false, true, true, true, false} {
		if got[line+1] != want {
			t.Errorf("line %d: %v", line+1, got[line+1])
		}
	}
}
