package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	chromahtml "github.com/alecthomas/chroma/v2/formatters/html"
	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/alecthomas/chroma/v2/styles"
)

//go:embed assets
var assets embed.FS

// A site is the files of the web site, by path.
type site struct {
	book    *book
	root    string // of the repository
	files   map[string][]byte
	page    *template.Template
	pages   map[string]string // the page of the site that a Markdown file becomes, by its path
	sources []map[string]bool // files of the repository that pages link to, by language
}

// makeSite prints the book as web pages, which need no server and load nothing
// from elsewhere.
func makeSite(b *book, root string) (map[string][]byte, error) {
	s := &site{book: b, root: root, files: map[string][]byte{}, pages: map[string]string{}}
	for i, l := range languages {
		s.sources = append(s.sources, map[string]bool{})
		for name, p := range b.pages[i] {
			s.pages[absolute(p.path)] = l.Dir + "/" + htmlName(name)
		}
	}
	var err error
	if s.page, err = template.ParseFS(assets, "assets/*.html"); err != nil {
		return nil, err
	}
	for i := range languages {
		if err := s.addLanguage(i); err != nil {
			return nil, err
		}
		if err := s.addSlides(i); err != nil {
			return nil, err
		}
		if err := s.addSources(i); err != nil {
			return nil, err
		}
	}
	if err := s.addPictures(); err != nil {
		return nil, err
	}
	style, err := styleSheet()
	if err != nil {
		return nil, err
	}
	s.files["assets/style.css"] = style
	for _, script := range []string{"assets/book.js", "assets/search.js"} {
		if s.files[script], err = assets.ReadFile(script); err != nil {
			return nil, err
		}
	}
	return s.files, s.execute("index.html", "start.html", map[string]any{"Languages": languages, "Words": words})
}

func (s *site) execute(file, name string, data any) error {
	var out bytes.Buffer
	if err := s.page.ExecuteTemplate(&out, name, data); err != nil {
		return fmt.Errorf("print %s: %w", file, err)
	}
	s.files[file] = out.Bytes()
	return nil
}

// A leaf is a page as the template sees it.
type leaf struct {
	Language language
	Words    map[string]string
	Other    language // to switch to
	Top      string   // the way to the top of the site
	File     string   // below the language's directory
	Title    string
	Body     template.HTML
	Contents []heading
	Groups   []group
	Back     string // where an exercise belongs
	Previous *entry
	Next     *entry
}

func htmlName(name string) string {
	if name == "README.md" {
		return "index.html"
	}
	return strings.TrimSuffix(name, ".md") + ".html"
}

func (p *page) title() string {
	if len(p.headings) > 0 {
		return p.headings[0].Text
	}
	return filepath.Base(p.path)
}

func (s *site) leaf(language int, file, name string) leaf {
	return leaf{
		Language: languages[language], Words: words[language], Other: languages[(language+1)%len(languages)],
		Top: strings.Repeat("../", 1+strings.Count(file, "/")), File: file, Groups: s.groups(language, name),
	}
}

func (s *site) addLanguage(i int) error {
	l, other := languages[i], (i+1)%len(languages)
	index := []passage{}
	var before *leaf
	var leaves []*leaf
	for _, name := range s.book.names {
		p := s.book.pages[i][name]
		if p == nil {
			continue
		}
		body, err := s.render(p, i, s.book.pages[other][name])
		if err != nil {
			return fmt.Errorf("print %s: %w", p.path, err)
		}
		data := s.leaf(i, htmlName(name), name)
		data.Title, data.Body = p.title(), template.HTML(body)
		if isExercise(name) {
			data.Back = htmlName(exercisesPage)
		}
		for _, h := range p.headings {
			if h.Level == 2 || h.Level == 3 {
				data.Contents = append(data.Contents, h)
			}
		}
		// One follows the other, exercises among themselves.
		if before != nil && (before.Back == data.Back) {
			data.Previous = &entry{Title: before.Title, Link: before.File}
			before.Next = &entry{Title: data.Title, Link: data.File}
		}
		before = &data
		leaves = append(leaves, before)
		index = append(index, p.searchable(l.Dir+"/"+data.File)...)
	}
	for _, data := range leaves {
		if err := s.execute(path.Join(l.Dir, data.File), "page.html", data); err != nil {
			return err
		}
	}
	// A script, because pages from a folder may not read other files.
	text, err := json.Marshal(index)
	if err != nil {
		return err
	}
	s.files["assets/search-"+l.Dir+".js"] = slices.Concat([]byte("window.bookIndex = "), text, []byte(";\n"))
	return nil
}

// A passage is what the search finds: the text from one heading to the next.
type passage struct {
	Link  string `json:"u"`
	Page  string `json:"p"`
	Title string `json:"t"`
	Text  string `json:"x"`
	Code  string `json:"c"`
}

// addSources makes a page of each file of the repository that the book links
// to, in each language: the menu and the way back are the reader's.
func (s *site) addSources(language int) error {
	for _, name := range slices.Sorted(maps.Keys(s.sources[language])) {
		info, err := os.Stat(filepath.Join(s.root, name))
		if err != nil {
			return fmt.Errorf("find what a page links to: %w", err)
		}
		if !info.IsDir() {
			if err := s.addSource(language, name); err != nil {
				return err
			}
			continue
		}
		entries, err := os.ReadDir(filepath.Join(s.root, name))
		if err != nil {
			return err
		}
		list := "<ul>\n"
		for _, e := range entries {
			if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			list += fmt.Sprintf("<li><a href=%q>%s</a></li>\n", path.Base(name)+"/"+e.Name()+".html", template.HTMLEscapeString(e.Name()))
			if err := s.addSource(language, path.Join(name, e.Name())); err != nil {
				return err
			}
		}
		if err := s.executeSource(language, name, list+"</ul>\n"); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) addSource(language int, name string) error {
	text, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		return err
	}
	lexer := lexers.Match(path.Base(name))
	if lexer == nil {
		lexer = lexers.Analyse(string(text))
	}
	var body bytes.Buffer
	if err := highlight(&body, lexer, string(text), chromahtml.WithLineNumbers(true), chromahtml.WithLinkableLineNumbers(true, "L")); err != nil {
		return err
	}
	return s.executeSource(language, name, body.String())
}

func (s *site) executeSource(language int, name, body string) error {
	data := s.leaf(language, "source/"+name+".html", "")
	data.Title, data.Body = name, template.HTML("<h1>"+template.HTMLEscapeString(name)+"</h1>\n"+body)
	return s.execute(path.Join(data.Language.Dir, data.File), "page.html", data)
}

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

func (s *site) addPictures() error {
	pictures, err := filepath.Glob(filepath.Join(s.book.docs, "images", "*"))
	if err != nil {
		return err
	}
	for _, picture := range pictures {
		content, err := os.ReadFile(picture)
		if err != nil {
			return err
		}
		s.files["images/"+filepath.Base(picture)] = content
	}
	return nil
}

// The schemes of highlighted code. Both have enough contrast on our backgrounds.
const lightStyle, darkStyle = "github", "github-dark"

// styleSheet is ours and that of the code, the dark one twice: for those whose
// system is dark and for those who ask for it.
func styleSheet() ([]byte, error) {
	out, err := assets.ReadFile("assets/style.css")
	if err != nil {
		return nil, err
	}
	light, err := codeStyle(lightStyle)
	if err != nil {
		return nil, err
	}
	dark, err := codeStyle(darkStyle)
	if err != nil {
		return nil, err
	}
	sheet := string(out)
	const marker = "/* dark: "
	start := strings.Index(sheet, marker)
	end := strings.Index(sheet, "/* end */")
	if start < 0 || end < start {
		return nil, fmt.Errorf("assets/style.css has no dark part")
	}
	vars := sheet[strings.Index(sheet[start:], "*/")+start+2 : end]
	sheet = sheet[:start] +
		"@media screen and (prefers-color-scheme: dark) {\n:root:not([data-theme=light]) {" + vars + "}\n}\n" +
		"@media screen {\n:root[data-theme=dark] {" + vars + "}\n}\n" + sheet[end+len("/* end */"):]
	// What only the light scheme colors must not keep that color in the dark.
	dark = ".chroma span { color: inherit }\n" + dark
	return []byte(sheet + light +
		"@media screen and (prefers-color-scheme: dark) {\n" + scope(dark, ":root:not([data-theme=light]) ") + "}\n" +
		"@media screen {\n" + scope(dark, ":root[data-theme=dark] ") + "}\n"), nil
}

func codeStyle(name string) (string, error) {
	var out bytes.Buffer
	err := chromahtml.New(chromahtml.WithClasses(true)).WriteCSS(&out, styles.Get(name))
	var rules []string
	for _, line := range strings.Split(out.String(), "\n") {
		// The backgrounds are ours, and the lexer's marks for errors are not wanted.
		if strings.Contains(line, ".chroma .") && !strings.Contains(line, "background-color") && !strings.Contains(line, ".err ") {
			rules = append(rules, line[strings.Index(line, "*/")+3:])
		}
	}
	return strings.Join(rules, "\n") + "\n", err
}

func scope(rules, selector string) string {
	return selector + strings.ReplaceAll(strings.TrimSpace(rules), "\n", "\n"+selector) + "\n"
}

// writeSite puts the files into a directory.
func writeSite(files map[string][]byte, dir string) error {
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
