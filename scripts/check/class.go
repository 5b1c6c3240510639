package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A result is what --json says of one exercise.
type result struct {
	Day      int      `json:"day"`
	Exercise int      `json:"exercise"`
	Title    string   `json:"title"`
	State    state    `json:"state"`
	Missing  []string `json:"missing,omitempty"` // what is not yet as it should be
	Error    string   `json:"error,omitempty"`   // why it could not be checked
}

type state string

const (
	passed   state = "passed"
	notYet   state = "not yet"
	notBegun state = "not begun"
	unknown  state = "unknown" // it could not be checked
)

// marks of the states on the screen.
var marks = map[state]string{passed: "#", notYet: "x", notBegun: ".", unknown: "?"}

// A record is what --json prints: one machine at one time.
type record struct {
	Host    string    `json:"host"`
	Time    time.Time `json:"time"`
	Results []result  `json:"results"`
}

// recordOf checks the exercises silently. It begins none, and goes on to the next
// when one cannot be checked.
func recordOf(chosen []*exercise, opt options) (rec record, allPassed bool) {
	host, _ := os.Hostname()
	rec, allPassed = record{Host: host, Time: time.Now().Truncate(time.Second), Results: []result{}}, true
	for _, e := range chosen {
		r := result{Day: e.day, Exercise: e.number, Title: e.title}
		dir := e.place(opt)
		if !exists(dir) {
			r.State = notBegun
		} else if found, err := check(e, dir); err != nil {
			r.State, r.Error = unknown, err.Error()
		} else if r.State = passed; !found.passed() {
			r.State = notYet
			for _, f := range found.Findings {
				if !f.OK {
					r.Missing = append(r.Missing, f.What)
				}
			}
		}
		allPassed = allPassed && r.State == passed
		rec.Results = append(rec.Results, r)
	}
	return rec, allPassed
}

// printClass shows a folder of such records on one screen: a line for each
// file, whose name is the learner's, a column for each exercise, and where most
// are stuck.
func printClass(w io.Writer, dir string, all []*exercise) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no .json files in %s: each machine makes one with check --json >NAME.json", dir)
	}
	width, rows := len("stuck"), map[string]map[string]result{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var rec record
		if err := json.Unmarshal(content, &rec); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		row := map[string]result{}
		for _, r := range rec.Results {
			row[fmt.Sprintf("day%d %d", r.Day, r.Exercise)] = r
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		rows[name] = row
		width = max(width, columns(name))
	}
	width = min(width, 20)
	var days []*exercise // those that stand side by side
	line := func(name, unit string, cell func(*exercise) string) {
		for columns(name) > width {
			_, n := utf8.DecodeLastRuneInString(name)
			name = name[:len(name)-n]
		}
		fmt.Fprint(w, name, strings.Repeat(" ", width-columns(name)))
		for i, e := range days {
			if i == 0 || days[i-1].day != e.day {
				fmt.Fprint(w, "  ")
			}
			fmt.Fprintf(w, "%3s", cell(e))
		}
		fmt.Fprintln(w, unit)
	}
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	slices.Sort(names)
	count := map[state]map[string]int{passed: {}, notYet: {}}
	missing := map[string]map[string]int{}
	for _, days = range sideBySide(all, 100-width-len("   of 100")) {
		line("", "", func(e *exercise) string {
			if e.number == 1 {
				return fmt.Sprintf("d%d", e.day)
			}
			return ""
		})
		line("", "", func(e *exercise) string { return fmt.Sprint(e.number) })
		for _, name := range names {
			line(name, "", func(e *exercise) string {
				r, known := rows[name][e.String()]
				if !known {
					return marks[notBegun]
				}
				if count[r.State] != nil {
					count[r.State][e.String()]++
				}
				for _, what := range r.Missing {
					if missing[e.String()] == nil {
						missing[e.String()] = map[string]int{}
					}
					missing[e.String()][what]++
				}
				return marks[r.State]
			})
		}
		line("done", fmt.Sprintf("   of %d", len(rows)), func(e *exercise) string { return fmt.Sprint(count[passed][e.String()]) })
		line("stuck", "", func(e *exercise) string { return fmt.Sprint(count[notYet][e.String()]) })
	}
	fmt.Fprintln(w, "key: # passed   x not yet   . not begun   ? could not be checked")
	printStuck(w, all, count[notYet], missing)
	return nil
}

// sideBySide splits the exercises between two days where they are wider than the screen.
func sideBySide(all []*exercise, wide int) (parts [][]*exercise) {
	used := wide
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(e *exercise) bool { return e.day != all[0].day })
		if n < 0 {
			n = len(all)
		}
		if used += 2 + 3*n; used > wide {
			used, parts = 2+3*n, append(parts, nil)
		}
		last := len(parts) - 1
		parts[last], all = append(parts[last], all[:n]...), all[n:]
	}
	return parts
}

// columns of a name on a terminal: a Chinese character takes two.
func columns(name string) (n int) {
	for _, r := range name {
		n++
		if r >= 0x1100 {
			n++
		}
	}
	return n
}

// printStuck names the three exercises at which most learners are stuck, and what
// most of them lack.
func printStuck(w io.Writer, all []*exercise, stuck map[string]int, missing map[string]map[string]int) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b *exercise) int { return stuck[b.String()] - stuck[a.String()] })
	for _, e := range order[:min(3, len(order))] {
		if stuck[e.String()] == 0 {
			break
		}
		most, n := "", 0
		for what, times := range missing[e.String()] {
			if times > n || times == n && what < most {
				most, n = what, times
			}
		}
		fmt.Fprintf(w, "%v  %d stuck, %d at: %s\n", e, stuck[e.String()], n, most)
	}
}
