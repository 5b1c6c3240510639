package main

import (
	"bytes"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	extension "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/util"
)

// A printer turns the nodes of one page into HTML where ours differs from
// goldmark's.
type printer struct {
	site  *site
	page  *page
	words map[string]string
	twins map[string]string // ids of headings in the other language
}

func (s *site) render(p *page, language int, other *page) (string, error) {
	r := &printer{s, p, words[language], map[string]string{}}
	if other != nil && len(other.headings) == len(p.headings) {
		for i, h := range p.headings {
			r.twins[h.id] = other.headings[i].id
		}
	}
	var out bytes.Buffer
	// The pages are ours: HTML in them, such as <details>, is meant.
	m := markdown(goldmark.WithRendererOptions(html.WithUnsafe(),
		renderer.WithNodeRenderers(util.Prioritized(r, 100))))
	err := m.Renderer().Render(&out, p.source, p.root)
	// A corner without a text heads nothing.
	return strings.ReplaceAll(out.String(), "<th></th>", "<td></td>"), err
}

func (r *printer) RegisterFuncs(register renderer.NodeRendererFuncRegisterer) {
	register.Register(ast.KindHeading, r.heading)
	register.Register(ast.KindFencedCodeBlock, r.code)
	register.Register(ast.KindLink, r.link)
	register.Register(ast.KindImage, r.image)
	register.Register(extension.KindTable, r.table)
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
	docs := absolute(r.site.book.docs)
	file := filepath.Join(filepath.Dir(absolute(r.page.path)), filepath.FromSlash(u.Path))
	rel, err := filepath.Rel(docs, file)
	if err != nil {
		return "", err
	}
	rel = filepath.ToSlash(rel)
	dir, name := path.Split(rel)
	for _, l := range languages {
		if dir == l.Dir+"/" && strings.HasSuffix(name, ".md") {
			u.Path = "../" + dir + htmlName(name)
			return u.String(), nil
		}
	}
	if strings.HasPrefix(rel, "images/") {
		u.Path = "../" + rel
		return u.String(), nil
	}
	source, err := filepath.Rel(r.site.root, file)
	if err != nil || strings.HasPrefix(source, "..") {
		return "", fmt.Errorf("%s: the link %s leads out of the repository", r.page.path, destination)
	}
	r.site.sources[filepath.ToSlash(source)] = true
	u.Path = "../source/" + filepath.ToSlash(source) + ".html"
	return u.String(), nil
}

var viewBox = regexp.MustCompile(`viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"`)

// image has its size written down, so that the text does not jump.
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
	fmt.Fprintf(w, `<img src="%s" alt="%s"%s loading="lazy">`, template.HTMLEscapeString(target),
		template.HTMLEscapeString(plainText(n, source)), size)
	return ast.WalkSkipChildren, nil
}

func (r *printer) code(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	n := node.(*ast.FencedCodeBlock)
	info := ""
	if n.Info != nil {
		info = string(n.Info.Segment.Value(source))
	}
	text := string(n.Lines().Value(source))
	lang, _, _ := strings.Cut(info, " ")
	var body bytes.Buffer
	caption := ""
	if lang == "console" {
		f := fence{info: info, line: 1}
		b, err := parseBlock(f, text)
		if err != nil {
			return ast.WalkStop, fmt.Errorf("%s: %w", r.page.path, err)
		}
		printConsole(&body, b, text)
		for _, word := range strings.Fields(info)[1:] {
			caption += fmt.Sprintf(`<span class="%s">%s</span>`, word, r.words[word])
		}
	} else if err := highlight(&body, lexers.Get(lang), text); err != nil {
		return ast.WalkStop, err
	}
	if lang == "go" {
		caption = r.origin(n, source)
	}
	if caption != "" {
		caption = "<figcaption>" + caption + "</figcaption>"
	}
	label := r.words["code"]
	if lang == "console" {
		label = r.words["terminal"]
	}
	html := strings.Replace(body.String(), "<pre ", fmt.Sprintf(`<pre role="group" aria-label="%s" `, label), 1)
	if !strings.Contains(html, "tabindex") {
		html = strings.Replace(html, "<pre ", `<pre tabindex="0" `, 1)
	}
	fmt.Fprintf(w, "<figure class=\"code %s\">%s%s</figure>\n", template.HTMLEscapeString(lang), caption, html)
	return ast.WalkContinue, nil
}

// origin is the source file of embedded code, from the marker above it.
func (r *printer) origin(n ast.Node, source []byte) string {
	if n.Lines().Len() == 0 {
		return ""
	}
	lines := strings.Split(string(source[:n.Lines().At(0).Start]), "\n")
	if len(lines) < 3 {
		return ""
	}
	m := marker.FindStringSubmatch(lines[len(lines)-3])
	if m == nil {
		return ""
	}
	target, err := r.target(m[1])
	if err != nil {
		return ""
	}
	name := strings.TrimPrefix(m[1], "../../")
	return fmt.Sprintf(`<a href="%s">%s</a>`, template.HTMLEscapeString(target), template.HTMLEscapeString(name))
}

// printConsole tells what is typed from what is printed; data-copy is all that
// is typed, without the prompts.
func printConsole(out *bytes.Buffer, b block, text string) {
	typed := map[int]string{} // by line: the prompt
	var commands []string
	for _, s := range b.steps {
		for i := range s.input {
			prompt := s.prompt
			if i > 0 {
				prompt = "> "
			}
			typed[s.line+i] = prompt
		}
		if s.key != "" {
			typed[s.line] = s.key
		} else if len(s.input) > 0 {
			commands = append(commands, strings.Join(s.input, "\n"))
		}
	}
	fmt.Fprintf(out, `<pre tabindex="0" data-copy="%s"><code>`, template.HTMLEscapeString(strings.Join(commands, "\n")+"\n"))
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		prompt, isTyped := typed[b.fence.line+i]
		switch {
		case isTyped:
			fmt.Fprintf(out, `<span class="prompt">%s</span><kbd>%s</kbd>`, template.HTMLEscapeString(prompt),
				template.HTMLEscapeString(strings.TrimPrefix(line, prompt)))
		case line == dots:
			out.WriteString(`<span class="dots">...</span>`)
		default:
			fmt.Fprintf(out, `<samp>%s</samp>`, template.HTMLEscapeString(line))
		}
		out.WriteString("\n")
	}
	out.WriteString("</code></pre>")
}

// searchable are the page's sections as plain text.
func (p *page) searchable(link string) (sections []passage) {
	var b strings.Builder
	flush := func() {
		if len(sections) > 0 {
			sections[len(sections)-1].Text = strings.Join(strings.Fields(b.String()), " ")
		}
		b.Reset()
	}
	_ = ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			if n.Type() == ast.TypeBlock {
				b.WriteByte(' ')
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
			b.Write(n.Lines().Value(p.source))
		case *ast.Text:
			b.Write(n.Segment.Value(p.source))
			if n.SoftLineBreak() {
				b.WriteByte(' ')
			}
		case *extension.TableCell:
			b.WriteByte(' ')
		}
		return ast.WalkContinue, nil
	})
	flush()
	return sections
}
