package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A section is a heading that a day's page must have. The order is fixed.
type section struct {
	titles   [2]string // by language
	optional bool
}

// byHand and forReal have the sections of two of a day's three pages. The one
// in Go has a section for each rung, and nothing more is required of it.
var byHand = []section{
	{titles: [2]string{"You are here", "目前進度"}},
	{titles: [2]string{"What you will build", "這一章要做什麼"}},
	{titles: [2]string{"The idea", "概念"}},
	{titles: [2]string{"Try it by hand", "動手試試"}},
}

var forReal = []section{
	{titles: [2]string{"What goes wrong", "哪裡會出錯"}},
	{titles: [2]string{"What the program adds", "完整的程式多了什麼"}},
	{titles: [2]string{"cgroup v1 beside v2", "cgroup v1 與 v2 對照"}, optional: true},
	{titles: [2]string{"What Docker really does", "Docker 實際上怎麼做"}},
	{titles: [2]string{"Exercises", "練習"}},
	{titles: [2]string{"What you know now", "重點回顧"}},
	{titles: [2]string{"Three questions", "三個問題"}},
	{titles: [2]string{"The day on one page", "一頁總結"}},
}

// maxLines is how long a page of a day may be.
const maxLines = 450

// A book is all pages, in each language, below a docs directory, and the
// exercises beside the chapters.
type book struct {
	docs  string
	names []string           // of the pages, in reading order
	pages []map[string]*page // by language, by name
}

// isExercise recognizes names like day1-exercise-3.md, which is what the book
// calls README.md of day1-TOPIC/exercises/03-NAME.
func isExercise(name string) bool { return strings.Contains(name, "-exercise-") }

// addExercises reads the tasks of the exercises, in each language.
func (b *book) addExercises() error {
	dirs, _ := filepath.Glob(filepath.Join(b.docs, "..", "day[0-9]-*", "exercises", "[0-9][0-9]-*"))
	for _, dir := range dirs {
		day, _, _ := strings.Cut(filepath.Base(filepath.Dir(filepath.Dir(dir))), "-")
		name := fmt.Sprintf("%s-exercise-%s.md", day, strings.TrimPrefix(filepath.Base(dir)[:2], "0"))
		b.names = append(b.names, name)
		for i, l := range languages {
			file := map[bool]string{true: "README.md", false: "README." + l.Dir + ".md"}[i == 0]
			p, err := readPage(filepath.Join(dir, file))
			if err != nil {
				return err
			}
			b.pages[i][name] = p
		}
	}
	return nil
}

func readBook(docs string) (*book, []failure, error) {
	b := &book{docs: docs, names: pageNames()}
	var failures []failure
	for _, l := range languages {
		pages := map[string]*page{}
		paths, err := filepath.Glob(filepath.Join(docs, l.Dir, "*.md"))
		if err != nil {
			return nil, nil, err
		}
		for _, path := range paths {
			p, err := readPage(path)
			if err != nil {
				return nil, nil, err
			}
			name := filepath.Base(path)
			if !slices.Contains(b.names, name) {
				failures = append(failures, failure{path, 1, "not a page of the book: the menu in scripts/book/words.go has them"})
			}
			pages[name] = p
		}
		for _, name := range pageNames() {
			if pages[name] == nil && wanted(docs, name) {
				failures = append(failures, failure{filepath.Join(docs, l.Dir, name), 1, "the page is missing"})
			}
		}
		b.pages = append(b.pages, pages)
	}
	return b, failures, b.addExercises()
}

// wanted says whether the page has to exist. A day's second page in Go must be
// there in all languages or in none.
func wanted(docs, name string) bool {
	found, _ := filepath.Glob(filepath.Join(docs, "*", name))
	return !strings.HasSuffix(name, "-go2.md") || len(found) > 0
}

// check finds everything that is wrong with the pages themselves.
func (b *book) check() (failures []failure) {
	terms, err := readTerms(b.docs)
	if err != nil {
		failures = append(failures, failure{b.docs, 1, err.Error()})
	}
	for i, pages := range b.pages {
		for _, name := range b.names {
			p := pages[name]
			if p == nil {
				continue
			}
			failures = append(failures, p.checkCode()...)
			failures = append(failures, p.checkLinks()...)
			failures = append(failures, p.checkVersions()...)
			if name != "glossary.md" {
				failures = append(failures, p.checkTerms(terms)...)
			}
			if _, err := p.blocks(); err != nil {
				failures = append(failures, *err)
			}
			if strings.HasPrefix(name, "day") && !isExercise(name) {
				failures = append(failures, p.checkDay(i, name, pages)...)
			}
			if first := b.pages[0][name]; i > 0 && first != nil {
				failures = append(failures, p.checkTranslation(first, languages[i].Dir)...)
			}
		}
	}
	return failures
}

// checkDay holds a page of a day to its form.
func (p *page) checkDay(language int, name string, pages map[string]*page) (failures []failure) {
	day, topic, _ := strings.Cut(name, "-")
	if n := p.lineAt(len(p.source)) - 1; n > maxLines {
		failures = append(failures, failure{p.path, maxLines, fmt.Sprintf("%d lines: a page has at most %d", n, maxLines)})
	}
	switch topic {
	case "go.md":
		if second := pages[day+"-go2.md"]; second != nil {
			return append(failures, checkLadder(day, p, second)...)
		}
		return append(failures, checkLadder(day, p)...)
	case "go2.md":
		return failures
	case "real.md":
		return append(failures, p.checkSections(language, forReal)...)
	}
	return append(failures, p.checkSections(language, byHand)...)
}

func (p *page) checkSections(language int, sections []section) (failures []failure) {
	next := 0
	for _, h := range p.headings {
		if h.Level != 2 {
			continue
		}
		at := slices.IndexFunc(sections, func(s section) bool { return s.titles[language] == h.Text })
		switch {
		case at < 0:
			failures = append(failures, failure{p.path, h.line, fmt.Sprintf("%q is not a section of a chapter: docs/STYLE.md has them", h.Text)})
		case at < next:
			failures = append(failures, failure{p.path, h.line, fmt.Sprintf("%q is out of order", h.Text)})
		default:
			for ; next < at; next++ {
				if !sections[next].optional {
					failures = append(failures, failure{p.path, h.line, fmt.Sprintf("%q is missing before this", sections[next].titles[language])})
				}
			}
			next = at + 1
		}
	}
	for ; next < len(sections); next++ {
		failures = append(failures, failure{p.path, p.lineAt(len(p.source)), fmt.Sprintf("%q is missing", sections[next].titles[language])})
	}
	return failures
}

// checkTranslation compares a page with the one that it translates.
func (p *page) checkTranslation(first *page, dir string) (failures []failure) {
	fail := func(line int, format string, args ...any) {
		failures = append(failures, failure{p.path, line, fmt.Sprintf(format, args...)})
	}
	end := p.lineAt(len(p.source))
	for i, h := range first.headings {
		if i >= len(p.headings) {
			fail(end, "the heading %q (%s:%d) is missing", h.Text, first.path, h.line)
			break
		}
		if p.headings[i].Level != h.Level {
			fail(p.headings[i].line, "a heading of level %d, where %s:%d has %q of level %d", p.headings[i].Level, first.path, h.line, h.Text, h.Level)
			break
		}
	}
	if len(p.headings) > len(first.headings) {
		fail(p.headings[len(first.headings)].line, "one heading more than %s", first.path)
	}
	for i, f := range first.fences {
		if i >= len(p.fences) {
			fail(end, "the code of %s:%d is missing", first.path, f.line)
			break
		}
		g := p.fences[i]
		if f.info != g.info {
			fail(g.line-1, "code marked %q, where %s:%d has %q", g.info, first.path, f.line-1, f.info)
			break
		}
		if a, b := first.text(f), p.text(g); a != b {
			line, is, want := firstDifference(b, a)
			fail(g.line+line, "code differs from %s:%d\n  here:  %s\n  there: %s", first.path, f.line+line, is, want)
			break
		}
	}
	if len(p.fences) > len(first.fences) {
		fail(p.fences[len(first.fences)].line-1, "code that %s does not have", first.path)
	}
	p.compareLinks(first, dir, fail)
	return failures
}

func firstDifference(a, b string) (int, string, string) {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	i := 0
	for i < len(x)-1 && i < len(y)-1 && x[i] == y[i] {
		i++
	}
	return i, x[i], y[i]
}

// compareLinks wants the same targets, equally often, in any order, because
// languages order their sentences differently.
func (p *page) compareLinks(first *page, dir string, fail func(int, string, ...any)) {
	same := func(l link) string {
		target := l.target
		if l.image {
			return strings.Replace(target, "."+dir+".svg", ".svg", 1)
		}
		for _, l := range languages { // each may link to the other
			target = strings.Replace(target, "../"+l.Dir+"/", "../*/", 1)
		}
		target = strings.Replace(target, "."+dir+".md", ".md", 1) // as pictures: a twin beside it
		target, _, _ = strings.Cut(target, "#")                   // an anchor is a heading's, checked by itself
		return target
	}
	missing := map[string][]link{}
	for _, l := range first.links {
		missing[same(l)] = append(missing[same(l)], l)
	}
	for _, l := range p.links {
		key := same(l)
		if len(missing[key]) == 0 {
			fail(l.line, "a link to %s that %s does not have", l.target, first.path)
			continue
		}
		missing[key] = missing[key][1:]
	}
	for _, links := range missing {
		for _, l := range links {
			fail(1, "the link to %s (%s:%d) is missing", l.target, first.path, l.line)
		}
	}
}

// checkLinks wants the target of every link to exist. Other people's sites are
// not asked.
func (p *page) checkLinks() (failures []failure) {
	for _, l := range p.links {
		if what := p.checkLink(l); what != "" {
			failures = append(failures, failure{p.path, l.line, what})
		}
	}
	return failures
}

func (p *page) checkLink(l link) string {
	if l.image && l.alt == "" {
		return "a picture without a text for those who cannot see it"
	}
	u, err := url.Parse(l.target)
	if err != nil {
		return fmt.Sprintf("the link %q cannot be read: %v", l.target, err)
	}
	if u.Scheme != "" || u.Host != "" {
		if l.image {
			return fmt.Sprintf("the picture %s is not in the repository", l.target)
		}
		if u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "mailto" {
			return fmt.Sprintf("the link %s: want http or https", l.target)
		}
		return ""
	}
	target := p
	if u.Path != "" {
		path := filepath.Join(filepath.Dir(p.path), filepath.FromSlash(u.Path))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("the link %s leads nowhere: no %s", l.target, path)
		}
		if u.Fragment == "" || filepath.Ext(path) != ".md" {
			return ""
		}
		if target, err = readPage(path); err != nil {
			return err.Error()
		}
	}
	if u.Fragment != "" && !slices.ContainsFunc(target.headings, func(h heading) bool { return h.ID == u.Fragment }) {
		return fmt.Sprintf("the link %s leads nowhere: no such heading on %s", l.target, target.path)
	}
	return ""
}
