package main

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/chroma/v2"
	chromahtml "github.com/alecthomas/chroma/v2/formatters/html"
	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/alecthomas/chroma/v2/styles"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/util"
)

// code prints a fence: a console block, a rung's difference, or code.
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
	label, caption := r.words["code"], r.origin(n, source)
	var body string
	var err error
	var failed *failure
	switch lang {
	case "console":
		label = r.words["terminal"]
		for _, word := range strings.Fields(info)[1:] {
			if _, inPair := n.Parent().(*version); !inPair || r.words[word] != r.words["v1"] && r.words[word] != r.words["v2"] {
				caption += fmt.Sprintf(`<span class="%s">%s</span>`, word, r.words[word])
			}
		}
		if body, failed = printConsole(fence{info: info, line: 1}, text); failed != nil {
			err = errors.New(failed.what)
		}
	case "diff":
		body, err = printDiff(text)
	default:
		var out bytes.Buffer
		err = highlight(&out, lexers.Get(lang), text)
		body = out.String()
	}
	if err != nil {
		return ast.WalkStop, fmt.Errorf("%s: %w", r.page.path, err)
	}
	if caption != "" {
		caption = "<figcaption>" + caption + "</figcaption>"
	}
	body = strings.Replace(body, "<pre", fmt.Sprintf(`<pre role="group" aria-label="%s"`, label), 1)
	if !strings.Contains(body, "tabindex") {
		body = strings.Replace(body, "<pre", `<pre tabindex="0"`, 1)
	}
	fmt.Fprintf(w, "<figure class=\"code %s\">%s%s</figure>\n", template.HTMLEscapeString(lang), caption, body)
	return ast.WalkContinue, nil
}

// origin names the source of a block of code, from the marker above it: the file,
// and the lines if only a part of it is shown.
func (r *printer) origin(n *ast.FencedCodeBlock, source []byte) string {
	if n.Lines().Len() == 0 {
		return ""
	}
	lines := strings.Split(string(source[:n.Lines().At(0).Start]), "\n")
	above := lines[max(0, len(lines)-3)]
	dir := filepath.Dir(r.page.path)
	name, also, place := "", "", ""
	if m := marker.FindStringSubmatch(above); m != nil {
		name = m[1]
		whole, err := os.ReadFile(filepath.Join(dir, name))
		text := n.Lines().Value(source)
		if at := bytes.Index(whole, text); err == nil && at >= 0 && len(text) < len(whole) {
			from := 1 + bytes.Count(whole[:at], []byte("\n"))
			place = fmt.Sprintf(" %s %d–%d", r.words["lines"], from, from+n.Lines().Len()-1)
			name += fmt.Sprintf("#L%d", from)
		}
	} else if m := rungMarker.FindStringSubmatch(above); m != nil {
		name = rungFile(dir, m[2])
		if at := hunk.FindSubmatch(n.Lines().Value(source)); at != nil && string(at[1]) != "1" {
			name += "#L" + string(at[1])
		}
		also = fmt.Sprintf("<span>%s %s</span>", r.words["from"], template.HTMLEscapeString(filepath.Base(m[1])))
	} else {
		return ""
	}
	target, err := r.target(name)
	if err != nil {
		return ""
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "../../"), "#")
	return fmt.Sprintf(`<a href="%s">%s</a>%s`, template.HTMLEscapeString(target), template.HTMLEscapeString(name+place), also)
}

var hunk = regexp.MustCompile(`@@ line (\d+)(.*) @@`)

// printDiff prints a difference in the colors of its language, with changed
// lines on a background of their own.
func printDiff(text string) (string, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	code := make([]string, len(lines))
	for i, line := range lines {
		if line != "" && !strings.HasPrefix(line, "@@") {
			code[i] = strings.ReplaceAll(line[1:], "\t", "    ") // a tab would end too early, after the sign
		}
	}
	tokens, err := chroma.Coalesce(lexers.Get("go")).Tokenise(nil, strings.Join(code, "\n")+"\n")
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString(`<pre class="chroma"><code>`)
	for i, line := range chroma.SplitTokensIntoLines(tokens.Tokens()) {
		if i >= len(lines) {
			break
		}
		switch {
		case strings.HasPrefix(lines[i], "@@"):
			fmt.Fprintf(&out, "<span class=\"l gap\">%s\n</span>", template.HTMLEscapeString(lines[i]))
			continue
		case strings.HasPrefix(lines[i], "+"):
			out.WriteString(`<span class="l ins"><span class="op">+</span>`)
		case strings.HasPrefix(lines[i], "-"):
			out.WriteString(`<span class="l del"><span class="op">-</span>`)
		default:
			out.WriteString(`<span class="l"><span class="op"> </span>`)
		}
		for _, t := range line {
			if class := chroma.StandardTypes[t.Type]; class != "" {
				fmt.Fprintf(&out, `<span class="%s">%s</span>`, class, template.HTMLEscapeString(t.Value))
			} else {
				out.WriteString(template.HTMLEscapeString(t.Value))
			}
		}
		out.WriteString("</span>")
	}
	out.WriteString("</code></pre>")
	return out.String(), nil
}

// printConsole tells input from output. data-copy holds what is typed at one
// prompt, up to where the prompt changes: if more were pasted, lines meant for
// an inner shell would run in the outer one after the inner has ended.
func printConsole(f fence, text string) (string, *failure) {
	b, err := parseBlock(f, text)
	if err != nil {
		return "", err
	}
	prompts, copies := map[int]string{}, map[int]string{} // by line
	first := 0
	for i, s := range b.steps {
		if s.key != "" {
			prompts[s.line] = s.key
		}
		if len(s.input) == 0 {
			continue
		}
		prompts[s.line] = s.prompt
		for j := range s.input[1:] {
			prompts[s.line+1+j] = "> "
		}
		typed := strings.Join(s.input, "\n")
		if i > 0 && len(b.steps[i-1].input) > 0 && shell(b.steps[i-1].prompt) == shell(s.prompt) {
			copies[first] += "\n" + typed
		} else {
			first = s.line
			copies[first] = typed
		}
	}
	var out strings.Builder
	out.WriteString(`<pre tabindex="0"><code>`)
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		prompt, isTyped := prompts[f.line+i]
		switch typed := copies[f.line+i]; {
		case isTyped:
			data := ""
			if typed != "" {
				data = fmt.Sprintf(` data-copy="%s"`, template.HTMLEscapeString(typed))
			}
			fmt.Fprintf(&out, `<span class="l typed"%s><span class="prompt">%s</span><kbd>%s</kbd>`, data, template.HTMLEscapeString(prompt),
				template.HTMLEscapeString(strings.TrimPrefix(line, prompt)))
		case line == dots:
			out.WriteString(`<span class="l dots">...`)
		default:
			fmt.Fprintf(&out, `<span class="l"><samp>%s</samp>`, template.HTMLEscapeString(line))
		}
		out.WriteString("\n</span>")
	}
	out.WriteString("</code></pre>")
	return out.String(), nil
}

// shell is the part of a prompt that tells one shell from another: busybox's
// also has the directory, which changes.
func shell(prompt string) string {
	if strings.HasPrefix(prompt, "/") || strings.HasPrefix(prompt, "~") {
		return "/ # "
	}
	return prompt
}

func highlight(out *bytes.Buffer, lexer chroma.Lexer, text string, options ...chromahtml.Option) error {
	if lexer == nil {
		lexer = lexers.Fallback
	}
	tokens, err := chroma.Coalesce(lexer).Tokenise(nil, text)
	if err != nil {
		return err
	}
	options = append(options, chromahtml.WithClasses(true), chromahtml.TabWidth(4))
	return chromahtml.New(options...).Format(out, styles.Fallback, tokens)
}

// A pair is code for both cgroup versions, one version each.
type (
	pair    struct{ ast.BaseBlock }
	version struct {
		ast.BaseBlock
		name string
	}
)

var kindPair, kindVersion = ast.NewNodeKind("Pair"), ast.NewNodeKind("Version")

func (*pair) Kind() ast.NodeKind                 { return kindPair }
func (n *pair) Dump(source []byte, level int)    { ast.DumpHelper(n, source, level, nil, nil) }
func (*version) Kind() ast.NodeKind              { return kindVersion }
func (n *version) Dump(source []byte, level int) { ast.DumpHelper(n, source, level, nil, nil) }

var versionLabel = regexp.MustCompile(`^cgroup (v[12])[:：]$`)

// versions pairs the blocks of a page that have a line above them naming their
// version.
func (p *page) versions() {
	labelled := func(n ast.Node) (string, []ast.Node) {
		if n == nil || n.Kind() != ast.KindParagraph {
			return "", nil
		}
		m := versionLabel.FindStringSubmatch(plainText(n, p.source))
		if m == nil {
			return "", nil
		}
		var code []ast.Node
		for c := n.NextSibling(); c != nil && c.Kind() == ast.KindFencedCodeBlock; c = c.NextSibling() {
			code = append(code, c)
		}
		return m[1], code
	}
	for n := p.root.FirstChild(); n != nil; n = n.NextSibling() {
		a, codeA := labelled(n)
		if len(codeA) == 0 {
			continue
		}
		second := codeA[len(codeA)-1].NextSibling()
		b, codeB := labelled(second)
		if len(codeB) == 0 || a == b {
			continue
		}
		both := &pair{}
		p.root.InsertBefore(p.root, n, both)
		for i, code := range [][]ast.Node{codeA, codeB} {
			one := &version{name: []string{a, b}[i]}
			both.AppendChild(both, one)
			for _, c := range code {
				one.AppendChild(one, c)
			}
		}
		p.root.RemoveChild(p.root, n)
		p.root.RemoveChild(p.root, second)
		n = both
	}
}

// checkVersions wants a line that names the version above each of two adjacent
// blocks that are for one version each.
func (p *page) checkVersions() (failures []failure) {
	lines := strings.Split(string(p.source), "\n")
	label := func(f fence) string {
		at := f.line - 3
		for at > 0 && (strings.TrimSpace(lines[at]) == "" || strings.HasPrefix(lines[at], "[embedmd]")) {
			at--
		}
		if m := versionLabel.FindStringSubmatch(lines[max(0, at)]); m != nil {
			return m[1]
		}
		return ""
	}
	blocks, _ := p.blocks()
	for i, b := range blocks {
		if i == 0 || b.kernel == "" || blocks[i-1].kernel == "" || b.kernel == blocks[i-1].kernel || b.index != blocks[i-1].index+1 {
			continue
		}
		between := strings.Fields(string(p.source[blocks[i-1].fence.end:b.fence.start]))
		if len(between) > 5 { // the end of the one fence, a label, the beginning of the other; or else there is text
			continue
		}
		for _, c := range []block{blocks[i-1], b} {
			if label(c.fence) != c.kernel {
				failures = append(failures, failure{p.path, c.fence.line - 1, fmt.Sprintf("one of a pair without the line \"cgroup %s:\" above it", c.kernel)})
			}
		}
	}
	return slices.Compact(failures)
}
