package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
)

// A term is a word to avoid, and the one to write instead.
type term struct {
	not   *regexp.Regexp
	write string
}

// readTerms reads the table "write | not" of STYLE.md, which may have several
// words with 、 between them. N is any number.
func readTerms(docs string) (terms []term, err error) {
	text, err := os.ReadFile(filepath.Join(docs, "STYLE.md"))
	if err != nil {
		return nil, err
	}
	_, table, _ := strings.Cut(string(text), "\n| write | not |\n|---|---|\n")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			break
		}
		for word := range strings.SplitSeq(strings.TrimSpace(cells[2]), "、") {
			terms = append(terms, term{notWritten(word), strings.TrimSpace(cells[1])})
		}
	}
	// Next to Chinese punctuation the asterisks of an emphasis may be read as text.
	return append(terms, term{regexp.MustCompile(`\*\*`), "a blank after it, or the punctuation outside"}), nil
}

// notWritten matches the word with and without blanks, because those between
// Chinese and Latin letters are often forgotten, and a line may end there.
func notWritten(word string) *regexp.Regexp {
	var parts []string
	for _, r := range strings.ReplaceAll(word, " ", "") {
		parts = append(parts, regexp.QuoteMeta(string(r)))
	}
	expression := strings.ReplaceAll(strings.Join(parts, `\s*`), "N", `\d+`)
	if word[0] < 0x80 && word[len(word)-1] < 0x80 { // Latin: a whole word
		expression = `\b` + strings.ReplaceAll(expression, `\s*`, "") + `\b`
	}
	return regexp.MustCompile(expression)
}

// checkTerms finds them in what is read; code may have any word.
func (p *page) checkTerms(terms []term) (failures []failure) {
	_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering || n.Type() != ast.TypeBlock || n.FirstChild() == nil || n.FirstChild().Type() != ast.TypeInline {
			return ast.WalkContinue, nil
		}
		var text strings.Builder
		var places [][2]int // in the text, in the source
		_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if _, code := n.(*ast.CodeSpan); code {
				text.WriteByte(0) // so that the words on either side of it do not join
				return ast.WalkSkipChildren, nil
			}
			if t, ok := n.(*ast.Text); ok && entering {
				places = append(places, [2]int{text.Len(), t.Segment.Start})
				text.Write(t.Segment.Value(p.source))
				if t.SoftLineBreak() {
					text.WriteByte('\n')
				}
			}
			return ast.WalkContinue, nil
		})
		for _, t := range terms {
			for _, found := range t.not.FindAllStringIndex(text.String(), -1) {
				at := 0
				for _, place := range places {
					if place[0] <= found[0] {
						at = place[1]
					}
				}
				failures = append(failures, failure{p.path, p.lineAt(at), fmt.Sprintf("%s: write %s, as docs/STYLE.md says", text.String()[found[0]:found[1]], t.write)})
			}
		}
		return ast.WalkSkipChildren, nil
	})
	return failures
}
