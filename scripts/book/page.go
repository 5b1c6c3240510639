package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// languages of the book. The first is the one whose console blocks are run;
// check makes sure that the others say the same.
var languages = []language{
	{Dir: "en", Tag: "en", Name: "English"},
	{Dir: "zh-TW", Tag: "zh-Hant-TW", Name: "繁體中文"},
}

type language struct {
	Dir  string // below docs
	Tag  string // BCP 47, for the lang attribute
	Name string // in its own language
}

// A page is one Markdown file.
type page struct {
	path     string // as given, for messages
	source   []byte
	root     ast.Node
	headings []heading
	fences   []fence
	links    []link // of text and of images
}

type heading struct {
	line     int
	Level    int
	Text, ID string
}

// A fence is a fenced code block.
type fence struct {
	info       string
	line       int // of the first line of its text
	start, end int // of its text in the source
}

func (f fence) lang() string {
	lang, _, _ := strings.Cut(f.info, " ")
	return lang
}

type link struct {
	line   int
	image  bool
	target string
	alt    string
}

// markdown is what code hosts understand: CommonMark with tables and the like.
func markdown(options ...goldmark.Option) goldmark.Markdown {
	return goldmark.New(append([]goldmark.Option{
		goldmark.WithExtensions(extension.GFM),
		goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	}, options...)...)
}

func readPage(path string) (*page, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parsePage(path, source), nil
}

func parsePage(path string, source []byte) *page {
	p := &page{path: path, source: source}
	context := parser.NewContext(parser.WithIDs(&anchors{used: map[string]bool{}}))
	p.root = markdown().Parser().Parse(text.NewReader(source), parser.WithContext(context))
	_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		line := func() int { return p.lineAt(n.Pos()) }
		switch n := n.(type) {
		case *ast.Heading:
			id, _ := n.AttributeString("id")
			name, _ := id.([]byte)
			p.headings = append(p.headings, heading{line(), n.Level, plainText(n, source), string(name)})
		case *ast.FencedCodeBlock:
			f := fence{line: line() + 1}
			if n.Info != nil {
				f.info = strings.TrimSpace(string(n.Info.Value(source)))
			}
			if n.Lines().Len() > 0 {
				f.start, f.end = n.Lines().At(0).Start, n.Lines().At(n.Lines().Len()-1).Stop
			}
			p.fences = append(p.fences, f)
		case *ast.Link:
			p.links = append(p.links, link{line: line(), target: string(n.Destination)})
		case *ast.Image:
			p.links = append(p.links, link{line: line(), image: true, target: string(n.Destination), alt: plainText(n, source)})
		}
		return ast.WalkContinue, nil
	})
	return p
}

func (p *page) lineAt(offset int) int {
	return 1 + bytes.Count(p.source[:min(offset, len(p.source))], []byte("\n"))
}

func (p *page) text(f fence) string { return string(p.source[f.start:f.end]) }

func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			b.Write(n.Segment.Value(source))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(n.Value)
		case *ast.AutoLink:
			b.Write(n.Label(source))
		}
		return ast.WalkContinue, nil
	})
	return strings.TrimSpace(b.String())
}

// anchors gives headings the ids that code hosts give them: lower case, blanks
// to hyphens, letters of any script kept, other punctuation dropped.
type anchors struct{ used map[string]bool }

func (a *anchors) Generate(value []byte, _ ast.NodeKind) []byte {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(strings.NewReplacer("`", "", "*", "").Replace(string(value))))
	name := id
	for i := 1; a.used[name]; i++ {
		name = fmt.Sprintf("%s-%d", id, i)
	}
	a.used[name] = true
	return []byte(name)
}

func (a *anchors) Put(value []byte) { a.used[string(value)] = true }

// repositoryRoot is where go.work is, here or above.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.work here or above: run this in the repository")
		}
		dir = parent
	}
}
