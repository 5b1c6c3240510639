package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/chroma/v2"
	chromahtml "github.com/alecthomas/chroma/v2/formatters/html"
	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/alecthomas/chroma/v2/styles"
)

//go:embed assets
var assets embed.FS

// words of the site itself, by language.
var words = []map[string]string{
	{
		"title": "go-docker, day by day", "skip": "Skip to the text", "search": "Search", "find": "Search the book",
		"none": "Nothing found.", "hint": "Several words narrow it down. Arrows choose, Enter opens.", "close": "Close",
		"theme": "Light or dark", "pages": "Pages", "menu": "Menu", "contents": "On this page", "previous": "Previous", "next": "Next",
		"copy": "Copy", "copied": "Copied", "language": "Language", "anchor": "Link to", "code": "Code", "table": "Table",
		"v1": "where memory is cgroup v1", "v2": "where memory is cgroup v2", "second": "second terminal", "third": "third terminal",
		"source": "Source", "files": "Files", "terminal": "terminal",
	},
	{
		"title": "一天一章，動手寫 go-docker", "skip": "跳到內文", "search": "搜尋", "find": "搜尋全書",
		"none": "沒有找到。", "hint": "多打幾個詞可縮小範圍；方向鍵選擇，Enter 開啟。", "close": "關閉",
		"theme": "亮色或暗色", "pages": "章節", "menu": "選單", "contents": "本頁目錄", "previous": "上一頁", "next": "下一頁",
		"copy": "複製", "copied": "已複製", "language": "語言", "anchor": "連結：", "code": "程式碼", "table": "表格",
		"v1": "記憶體在 cgroup v1 的機器", "v2": "記憶體在 cgroup v2 的機器", "second": "第二個終端機", "third": "第三個終端機",
		"source": "原始碼", "files": "檔案", "terminal": "終端機",
	},
}

// A site is the files of the web site, by path.
type site struct {
	book    *book
	root    string // of the repository
	files   map[string][]byte
	page    *template.Template
	sources map[string]bool // files of the repository that pages link to
}

// makeSite prints the book as web pages. They need no server and ask nobody
// for anything.
func makeSite(b *book, root string) (map[string][]byte, error) {
	s := &site{book: b, root: root, files: map[string][]byte{}, sources: map[string]bool{}}
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
	}
	if err := s.addSources(); err != nil {
		return nil, err
	}
	if err := s.addPictures(); err != nil {
		return nil, err
	}
	style, err := styleSheet()
	if err != nil {
		return nil, err
	}
	s.files["assets/style.css"] = style
	script, err := assets.ReadFile("assets/book.js")
	if err != nil {
		return nil, err
	}
	s.files["assets/book.js"] = script
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
	File     string
	Title    string
	Body     template.HTML
	Contents []entry
	Pages    []entry
	Previous *entry
	Next     *entry
	Index    string // the search index
	Source   bool
}

type entry struct {
	Title, Link string
	Level       int
	Current     bool
}

func htmlName(name string) string {
	if name == "README.md" {
		return "index.html"
	}
	return strings.TrimSuffix(name, ".md") + ".html"
}

func (p *page) title() string {
	if len(p.headings) > 0 {
		return p.headings[0].text
	}
	return filepath.Base(p.path)
}

func (s *site) pages(language int, current string) (pages []entry) {
	for _, name := range pageNames {
		if p := s.book.pages[language][name]; p != nil {
			pages = append(pages, entry{Title: p.title(), Link: languages[language].Dir + "/" + htmlName(name), Current: name == current})
		}
	}
	return pages
}

func (s *site) addLanguage(i int) error {
	l, other := languages[i], (i+1)%len(languages)
	index := []passage{}
	for _, name := range pageNames {
		p := s.book.pages[i][name]
		if p == nil {
			continue
		}
		body, err := s.render(p, i, s.book.pages[other][name])
		if err != nil {
			return fmt.Errorf("print %s: %w", p.path, err)
		}
		data := leaf{
			Language: l, Words: words[i], Other: languages[other], Top: "../", File: htmlName(name),
			Title: p.title(), Body: template.HTML(body), Pages: s.pages(i, name), Index: "search-" + l.Dir + ".js",
		}
		for _, h := range p.headings {
			if h.level == 2 || h.level == 3 {
				data.Contents = append(data.Contents, entry{Title: h.text, Link: "#" + h.id, Level: h.level})
			}
		}
		at := slices.IndexFunc(data.Pages, func(e entry) bool { return e.Current })
		if at > 0 {
			data.Previous = &data.Pages[at-1]
		}
		if at+1 < len(data.Pages) {
			data.Next = &data.Pages[at+1]
		}
		if err := s.execute(path.Join(l.Dir, data.File), "page.html", data); err != nil {
			return err
		}
		index = append(index, p.searchable(l.Dir+"/"+data.File)...)
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
}

// addSources makes a page of each file of the repository that the book links to.
func (s *site) addSources() error {
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range s.sources {
			if !yield(name) {
				return
			}
		}
	}) {
		full := filepath.Join(s.root, name)
		info, err := os.Stat(full)
		if err != nil {
			return fmt.Errorf("find what a page links to: %w", err)
		}
		var body bytes.Buffer
		if info.IsDir() {
			entries, err := os.ReadDir(full)
			if err != nil {
				return err
			}
			body.WriteString("<ul>\n")
			for _, e := range entries {
				if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
					continue
				}
				fmt.Fprintf(&body, "<li><a href=%q>%s</a></li>\n", path.Base(name)+"/"+e.Name()+".html", template.HTMLEscapeString(e.Name()))
				if err := s.addSource(path.Join(name, e.Name())); err != nil {
					return err
				}
			}
			body.WriteString("</ul>\n")
			if err := s.executeSource(name, body.String()); err != nil {
				return err
			}
			continue
		}
		if err := s.addSource(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) addSource(name string) error {
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
	return s.executeSource(name, body.String())
}

func (s *site) executeSource(name, body string) error {
	depth := strings.Count(name, "/") + 1
	return s.execute("source/"+name+".html", "page.html", leaf{
		Language: languages[0], Words: words[0], Other: languages[1], Top: strings.Repeat("../", depth),
		File: "index.html", Title: name, Body: template.HTML("<h1>" + template.HTMLEscapeString(name) + "</h1>\n" + body),
		Pages: s.pages(0, ""), Index: "search-" + languages[0].Dir + ".js", Source: true,
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

// The schemes of highlighted code. Both have enough contrast on our grounds.
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
	// What only the light scheme colors must not stay that in the dark.
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
		// The grounds are ours; what marks an error of the lexer is not wanted.
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
