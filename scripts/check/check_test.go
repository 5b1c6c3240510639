package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/go-docker/scripts/internal/box"
)

func TestMain(m *testing.M) {
	if status, is := internal(os.Args); is {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

func all(t *testing.T) []*exercise {
	t.Helper()
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	all, err := exercises(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(checks) {
		t.Errorf("%d exercises and %d checks", len(all), len(checks))
	}
	return all
}

// The starting state must fail because of what the kernel says, and the solution
// must pass.
func TestExercises(t *testing.T) {
	box.NeedRoot(t)
	for _, e := range all(t) {
		for _, state := range []string{"start", "solution"} {
			t.Run(fmt.Sprintf("%s/%s", filepath.Base(e.dir), state), func(t *testing.T) {
				r, err := check(e, filepath.Join(e.dir, state))
				if err != nil {
					t.Fatal(err)
				}
				var text strings.Builder
				r.print(&text)
				t.Log(text.String())
				if len(r.Findings) == 0 {
					t.Error("the check has looked at nothing")
				}
				if r.passed() != (state == "solution") {
					t.Errorf("passed: %v", r.passed())
				}
				// A program that did not even start has not been checked.
				for _, f := range r.Findings {
					if f.What == "it compiles" || strings.Contains(f.Found, "no such process") {
						t.Errorf("%s: %s", f.What, f.Found)
					}
				}
			})
		}
	}
}

// Each page has what --list and --hint read from it, in both languages.
func TestPages(t *testing.T) {
	count := map[int]int{}
	for _, e := range all(t) {
		count[e.day]++
		if !regexp.MustCompile("^(Predict|Change|Break|Repair|Extend)$").MatchString(e.kind) {
			t.Errorf("%s: kind %q", e.dir, e.kind)
		}
		command := fmt.Sprintf("`go run ./scripts/check day%d %d`", e.day, e.number)
		hints := map[string]int{}
		for _, name := range []string{"README.md", "README.zh-TW.md"} {
			page := text(filepath.Join(e.dir, name))
			hints[name] = strings.Count(page, "<details><summary>")
			if hints[name] < 2 || !strings.Contains(page, command) {
				t.Errorf("%s/%s: %d hints, or the command is missing", e.dir, name, hints[name])
			}
			if file, err := filepath.Rel(e.root, filepath.Join(e.work(), e.file)); err != nil || !strings.Contains(page, "`"+file+"`") {
				t.Errorf("%s/%s: does not say that the file to change is %s", e.dir, name, file)
			}
		}
		if hints["README.md"] != hints["README.zh-TW.md"] {
			t.Errorf("%s: not as many hints in both languages", e.dir)
		}
		for _, lang := range []string{"en", "zh-TW"} {
			page := text(filepath.Join(e.root, "docs", lang, "exercises.md"))
			name := map[string]string{"en": "README.md", "zh-TW": "README.zh-TW.md"}[lang]
			head := strings.Split(text(filepath.Join(e.dir, name)), "\n")
			kind := strings.Split(head[2], " · ") // Repair · 20 minutes · ...
			minutes, _, _ := strings.Cut(kind[1], " ")
			row := fmt.Sprintf("| %d | %d | [%s](../../%s/%s) | %s | %s |", e.day, e.number,
				strings.TrimPrefix(head[0], "# "), strings.TrimPrefix(e.dir, e.root+"/"), name, kind[0], minutes)
			if !strings.Contains(page, row+"\n") {
				t.Errorf("docs/%s/exercises.md lacks the row %s", lang, row)
			}
		}
	}
	for day, n := range count {
		if n < 5 || n > 8 {
			t.Errorf("day %d has %d exercises", day, n)
		}
	}
}

// The timetables add up, are the same in both languages, and name exercises
// and scripts that exist.
func TestTimetable(t *testing.T) {
	list := all(t)
	row := regexp.MustCompile(`^\|( [1-3] \|)? (\d):(\d\d) \| (\d+) \| (.*)`)
	named := regexp.MustCompile(`day([1-4]) (\d)`)
	file := regexp.MustCompile("`\\.?/?(day[1-4][^` ]*|scripts/[^` ]*\\.sh)`")
	times := map[string][]string{}
	for _, lang := range []string{"en", "zh-TW"} {
		next := 0
		for line := range strings.Lines(text(filepath.Join(list[0].root, "docs", lang, "workshop.md"))) {
			for _, m := range file.FindAllStringSubmatch(line, -1) {
				if !exists(filepath.Join(list[0].root, m[1])) {
					t.Errorf("docs/%s/workshop.md: there is no %s", lang, m[1])
				}
			}
			for _, m := range named.FindAllString(line, -1) {
				if _, err := choose(list, strings.Fields(m)); err != nil {
					t.Errorf("docs/%s/workshop.md: %v", lang, err)
				}
			}
			m := row.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			var hour, minute, length int
			if _, err := fmt.Sscan(strings.Join(m[2:5], " "), &hour, &minute, &length); err != nil {
				t.Fatal(err)
			}
			from := 60*hour + minute
			if from != next && (from != 0 || next != 210) { // half a day has 210 minutes
				t.Errorf("docs/%s/workshop.md: something begins at %s:%s, and the one before ends at minute %d", lang, m[2], m[3], next)
			}
			next = from + length
			work := 0 // of the exercises that the block is for, by their pages
			what, _, _ := strings.Cut(m[5], " |")
			for _, name := range named.FindAllString(what, -1) {
				if chosen, err := choose(list, strings.Fields(name)); err == nil {
					var minutes int
					head := strings.Split(text(filepath.Join(chosen[0].dir, "README.md")), "\n")[2]
					if _, err := fmt.Sscanf(strings.Split(head, " · ")[1], "%d minutes", &minutes); err != nil {
						t.Fatalf("%s: %v", head, err)
					}
					work += minutes
				}
			}
			if work > length {
				t.Errorf("docs/%s/workshop.md: at %s:%s, %d minutes of exercises in %d", lang, m[2], m[3], work, length)
			}
			times[lang] = append(times[lang], m[1]+m[2]+":"+m[3]+" "+m[4]+strings.Join(named.FindAllString(m[5], -1), ","))
		}
		if next != 60 || len(times[lang]) < 20 { // the last is the hour of day 5
			t.Errorf("docs/%s/workshop.md: %d rows, and the last ends at minute %d", lang, len(times[lang]), next)
		}
	}
	if en, zh := strings.Join(times["en"], "\n"), strings.Join(times["zh-TW"], "\n"); en != zh {
		t.Errorf("the timetables differ:\n%s\n\n%s", en, zh)
	}
}

// Nothing that checks or begins again may touch what the learner has written.
func TestWorkIsKept(t *testing.T) {
	e := *all(t)[0]
	e.root = t.TempDir()
	if err := e.begin(); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(e.work(), e.file)
	if text(mine) != text(filepath.Join(e.dir, "start", e.file)) {
		t.Error("the work does not begin as the starting state")
	}
	write(mine, "mine")
	if err := e.begin(); err != nil {
		t.Fatal(err)
	}
	if text(mine) != "mine" {
		t.Error("a second begin has overwritten the work")
	}
	for n := 1; n <= 2; n++ {
		write(mine, fmt.Sprint("mine ", n))
		if err := e.reset(); err != nil {
			t.Fatal(err)
		}
		if got := text(filepath.Join(fmt.Sprintf("%s.%d", e.work(), n), e.file)); got != fmt.Sprint("mine ", n) {
			t.Errorf("reset %d has kept %q", n, got)
		}
	}
	if text(mine) == "mine 2" {
		t.Error("reset has not begun again")
	}
}

func TestArguments(t *testing.T) {
	list := all(t)
	for _, test := range []struct {
		words string
		want  int
	}{{"day2 3", 1}, {"day2", 6}, {"2 3", 1}, {"day9", 0}, {"day2 99", 0}, {"day2 x", 0}, {"day2 3 4", 0}, {"two", 0}} {
		chosen, err := choose(list, strings.Fields(test.words))
		if len(chosen) != test.want || (err != nil) != (test.want == 0) {
			t.Errorf("%s: %d exercises, %v", test.words, len(chosen), err)
		}
	}
	// An exercise that cannot be checked has not failed.
	if _, err := run([]string{"day1", "--hint", "99", "1"}); err == nil {
		t.Error("a hint that is not there")
	}
}

// A class is a folder of what --json prints.
func TestClass(t *testing.T) {
	box.NeedRoot(t)
	list := all(t)
	e := *list[1] // nothing is begun in this root
	e.root = t.TempDir()
	if rec, passed := recordOf([]*exercise{&e}, options{}); passed || len(rec.Results) != 1 || rec.Results[0].State != notBegun || exists(e.work()) {
		t.Errorf("not begun, yet %+v", rec)
	}
	dir := t.TempDir()
	for name, opt := range map[string]options{"anna": {solution: true}, "ben": {start: true}, "小明": {start: true}} {
		rec, passed := recordOf(list[1:2], opt)
		if passed != opt.solution {
			t.Errorf("%s: %+v", name, rec)
		}
		content, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(dir, name+".json"), string(content))
	}
	var out strings.Builder
	if err := printClass(&out, dir, list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`(?m)^anna +\.  #`, `(?m)^ben +\.  x`, `(?m)^小明 +\.  x`, `(?m)^done +0  1`, `of 3`, `(?m)^day1 2  2 stuck, 2 at: \S`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
	wide, part := map[string]bool{}, "" // in each part, which begins with its days
	parts := 0
	for line := range strings.Lines(out.String()) {
		if columns(line) > 100 {
			t.Errorf("wider than a screen: %s", line)
		}
		if strings.HasPrefix(line, "anna") || strings.HasPrefix(line, "小明") {
			wide[fmt.Sprint(part, columns(line))] = true
		} else if strings.HasPrefix(strings.TrimSpace(line), "d") && strings.HasPrefix(line, " ") {
			part = line
			parts++
		}
	}
	if len(wide) != parts {
		t.Errorf("lines are not as wide as each other:\n%s", out.String())
	}
	if err := printClass(&out, t.TempDir(), list); err == nil {
		t.Error("an empty folder is no class")
	}
	write(filepath.Join(dir, "broken.json"), "{")
	if err := printClass(&out, dir, list); err == nil || !strings.Contains(err.Error(), "broken.json") {
		t.Errorf("a broken file: %v", err)
	}
}
