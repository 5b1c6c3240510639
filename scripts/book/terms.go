package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark/ast"
)

// readTerms reads the words that are not written, and what is written instead:
// the table "write | not" of STYLE.md, several with 、 between them.
func readTerms(docs string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(docs, "STYLE.md"))
	if err != nil {
		return nil, err
	}
	instead := map[string]string{}
	_, table, _ := strings.Cut(string(text), "\n| write | not |\n")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			break
		}
		for word := range strings.SplitSeq(strings.TrimSpace(cells[2]), "、") {
			instead[word] = strings.TrimSpace(cells[1])
		}
	}
	return instead, nil
}

// checkTerms finds them in what is read; code may have any word.
func (p *page) checkTerms(instead map[string]string) (failures []failure) {
	_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if _, code := n.(*ast.CodeSpan); code || !entering {
			return ast.WalkSkipChildren, nil
		}
		if t, ok := n.(*ast.Text); ok {
			for word, right := range instead {
				if strings.Contains(string(t.Segment.Value(p.source)), word) {
					failures = append(failures, failure{p.path, p.lineAt(t.Segment.Start), fmt.Sprintf("%s: write %s, as docs/STYLE.md says", word, right)})
				}
			}
		}
		return ast.WalkContinue, nil
	})
	return failures
}
