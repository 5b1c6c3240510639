package main

import (
	"bytes"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	extension "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/util"
)

// A printer turns the nodes of one page into HTML, where ours differs from
// goldmark's.
type printer struct {
	site     *site
	page     *page
	language int
	words    map[string]string
	twins    map[string]string // ids of headings in the other language
}

func (s *site) render(p *page, language int, other *page) (string, error) {
	r := &printer{s, p, language, words[language], map[string]string{}}
	p.versions()
	if other != nil && len(other.headings) == len(p.headings) {
		for i, h := range p.headings {
			r.twins[h.ID] = other.headings[i].ID
		}
	}
	var out bytes.Buffer
	// The pages are ours: HTML in them, such as <details>, is meant.
	m := markdown(goldmark.WithRendererOptions(html.WithUnsafe(),
		renderer.WithNodeRenderers(util.Prioritized(r, 100))))
	err := m.Renderer().Render(&out, p.source, p.root)
	// An empty corner of a table is no heading.
	return strings.ReplaceAll(out.String(), "<th></th>", "<td></td>"), err
}

func (r *printer) RegisterFuncs(register renderer.NodeRendererFuncRegisterer) {
	register.Register(ast.KindHeading, r.heading)
	register.Register(ast.KindFencedCodeBlock, r.code)
	register.Register(ast.KindLink, r.link)
	register.Register(ast.KindImage, r.image)
	register.Register(extension.KindTable, r.table)
	register.Register(kindPair, r.pair)
	register.Register(kindVersion, r.pair)
}

func (r *printer) heading(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n := node.(*ast.Heading)
	value, _ := n.AttributeString("id")
	id, _ := value.([]byte)
	if entering {
		fmt.Fprintf(w, `<h%d id="%s" data-twin="%s" tabindex="-1">`, n.Level, id, template.HTMLEscapeString(r.twins[string(id)]))
		return ast.WalkContinue, nil
	}
	if n.Level > 1 {
		fmt.Fprintf(w, ` <a class="anchor" href="#%s" aria-label="%s %s">#</a>`, id,
			r.words["anchor"], template.HTMLEscapeString(plainText(n, source)))
	}
	fmt.Fprintf(w, "</h%d>\n", n.Level)
	return ast.WalkContinue, nil
}

// pair is one block with tabs, which the script adds; both are printed.
func (r *printer) pair(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n, isVersion := node.(*version)
	switch {
	case !entering:
		_, _ = w.WriteString("</div>\n")
	case isVersion:
		fmt.Fprintf(w, `<div class="version" data-version="%s"><p class="label">%s</p>`, n.name, r.words[n.name])
	default:
		fmt.Fprintf(w, `<div class="pair" data-label="%s">`, r.words["versions"])
	}
	return ast.WalkContinue, nil
}

func (r *printer) table(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		fmt.Fprintf(w, "<div class=\"table\" tabindex=\"0\" role=\"group\" aria-label=\"%s\"><table>\n", r.words["table"])
	} else {
		_, _ = w.WriteString("</table></div>\n")
	}
	return ast.WalkContinue, nil
}

// link leads to another page of the site, to the print of a source file, or out.
func (r *printer) link(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n := node.(*ast.Link)
	if !entering {
		_, _ = w.WriteString("</a>")
		return ast.WalkContinue, nil
	}
	target, err := r.target(string(n.Destination))
	if err != nil {
		return ast.WalkStop, err
	}
	rel := ""
	if strings.HasPrefix(target, "http") {
		rel = ` rel="noreferrer" class="out"`
	}
	fmt.Fprintf(w, `<a href="%s"%s>`, template.HTMLEscapeString(target), rel)
	return ast.WalkContinue, nil
}

func (r *printer) target(destination string) (string, error) {
	u, err := url.Parse(destination)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Path == "" {
		return destination, err
	}
	file := filepath.Join(filepath.Dir(absolute(r.page.path)), filepath.FromSlash(u.Path))
	if to := r.site.pages[file]; to != "" {
		u.Path = "../" + to
		return u.String(), nil
	}
	name, err := filepath.Rel(r.site.root, file)
	if name = filepath.ToSlash(name); err != nil || strings.HasPrefix(name, "..") {
		return "", fmt.Errorf("%s: the link %s leads out of the repository", r.page.path, destination)
	}
	if picture, is := strings.CutPrefix(name, "docs/images/"); is {
		u.Path = "../images/" + picture
		return u.String(), nil
	}
	r.site.sources[r.language][name] = true
	u.Path = "source/" + name + ".html"
	return u.String(), nil
}

var viewBox = regexp.MustCompile(`viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"`)

// image states the picture's size, so that the text does not jump when it loads.
func (r *printer) image(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	n := node.(*ast.Image)
	target, err := r.target(string(n.Destination))
	if err != nil {
		return ast.WalkStop, err
	}
	size := ""
	content, err := os.ReadFile(filepath.Join(filepath.Dir(r.page.path), string(n.Destination)))
	if err == nil {
		if m := viewBox.FindSubmatch(content); m != nil {
			size = fmt.Sprintf(` width="%s" height="%s"`, m[1], m[2])
		}
	}
	alt := template.HTMLEscapeString(plainText(n, source))
	target = template.HTMLEscapeString(target)
	if bytes.Contains(content, []byte("svg:target")) { // a moving picture; paper gets its last frame
		fmt.Fprintf(w, `<img class="paper" src="%s#still" alt="%s"%s>`, target, alt, size)
		size += ` class="screen"`
	}
	fmt.Fprintf(w, `<img src="%s" alt="%s"%s loading="lazy">`, target, alt, size)
	return ast.WalkSkipChildren, nil
}

// searchable are the page's sections as plain text, code apart.
func (p *page) searchable(link string) (sections []passage) {
	var text, code strings.Builder
	flush := func() {
		if n := len(sections); n > 0 {
			sections[n-1].Text = strings.Join(strings.Fields(text.String()), " ")
			sections[n-1].Code = strings.Join(strings.Fields(code.String()), " ")
		}
		text.Reset()
		code.Reset()
	}
	_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			if n.Type() == ast.TypeBlock {
				text.WriteByte(' ')
			}
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			flush()
			value, _ := n.AttributeString("id")
			id, _ := value.([]byte)
			s := passage{Link: link + "#" + string(id), Page: p.title(), Title: plainText(n, p.source)}
			if n.Level == 1 {
				s.Link = link
			}
			sections = append(sections, s)
			return ast.WalkSkipChildren, nil
		case *ast.FencedCodeBlock:
			code.Write(n.Lines().Value(p.source))
		case *ast.Text:
			text.Write(n.Segment.Value(p.source))
			if n.SoftLineBreak() {
				text.WriteByte(' ')
			}
		case *extension.TableCell:
			text.WriteByte(' ')
		}
		return ast.WalkContinue, nil
	})
	flush()
	return sections
}
