package main

import (
	"fmt"
	"html/template"
	"path"
	"strings"
)

const slidesPage = "slides.md"

// addSlides prints the page of the slides once more, to be shown: a slide a
// screen, and a sheet each on paper. A line of three hyphens divides them.
func (s *site) addSlides(language int) error {
	p := s.book.pages[language][slidesPage]
	if p == nil {
		return nil
	}
	body, err := s.render(p, language, nil)
	if err != nil {
		return fmt.Errorf("print %s: %w", p.path, err)
	}
	var slides []template.HTML
	for slide := range strings.SplitSeq(body, "<hr>") {
		slides = append(slides, template.HTML(slide))
	}
	l := languages[language]
	return s.execute(path.Join(l.Dir, "show.html"), "show.html", map[string]any{
		"Language": l, "Title": p.title(), "Slides": slides,
	})
}
