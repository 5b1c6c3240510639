// Package booksite looks at the book's web site with a browser, as readers do:
// from its folder, without a server.
//
// It needs chromium, and npm for axe-core; where they are missing the tests
// skip, or fail if GO_DOCKER_MUST_RUN=1 promises a complete machine.
package booksite

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var (
	dir      string // of the site
	buildErr error
	browser  string
	parent   context.Context
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if browser == "" {
			browser, _ = exec.LookPath(name)
		}
	}
	var err error
	if dir, err = os.MkdirTemp("", "book-site."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "book"), "./book")
	build.Dir, build.Env = "../..", append(os.Environ(), "GOWORK=off")
	out, err := build.CombinedOutput()
	if err == nil {
		out, err = printSite("../..", filepath.Join(dir, "site"))
	}
	if err != nil {
		buildErr = fmt.Errorf("print the site: %w\n%s", err, out)
		return m.Run() // each test says so
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.WSURLReadTimeout(2*time.Minute)) // how long it may take to start, on a busy machine
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox is not for root
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	var stop context.CancelFunc
	parent, stop = chromedp.NewContext(allocator)
	defer func() {
		if browser != "" {
			_ = chromedp.Cancel(parent) // waits for it to end
		}
		stop()
	}()
	return m.Run()
}

// printSite prints the book of the repository of a directory.
func printSite(repository, to string) ([]byte, error) {
	site := exec.Command(filepath.Join(dir, "book"), "site", "-o", to)
	site.Dir = repository
	return site.CombinedOutput()
}

// missing skips the test, or fails it where nothing may be missing.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("GO_DOCKER_MUST_RUN") == "1" {
		t.Fatalf("needs %s, and GO_DOCKER_MUST_RUN=1 does not let it skip", what)
	}
	t.Skip("needs " + what)
}

// A tab is a tab of the browser that records whatever a page must not do.
type tab struct {
	context.Context
	t *testing.T

	mu     sync.Mutex
	faults []string
}

func newTab(t *testing.T) *tab {
	t.Helper()
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	if browser == "" {
		missing(t, "chromium")
	}
	if err := chromedp.Run(parent); err != nil { // the first time this starts it
		t.Fatalf("start %s: %v", browser, err)
	}
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithTargetID(newWindow(t)))
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	b := &tab{Context: ctx, t: t}
	chromedp.ListenTarget(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.faults = append(b.faults, "exception: "+e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			b.faults = append(b.faults, fmt.Sprintf("console %s: %v", e.Type, e.Args))
		case *log.EventEntryAdded:
			b.faults = append(b.faults, fmt.Sprintf("log %s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, "file:") && !strings.HasPrefix(u, "data:") {
				b.faults = append(b.faults, "request to "+u)
			}
		}
	})
	b.do(network.Enable(), log.Enable(), runtime.Enable())
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, f := range b.faults {
			t.Error(f)
		}
	})
	return b
}

// newWindow opens a window with a store of its own: what one test chooses is nothing to
// the next.
func newWindow(t *testing.T) (window target.ID) {
	t.Helper()
	open := func(ctx context.Context) error {
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		own, err := target.CreateBrowserContext().WithDisposeOnDetach(true).Do(ctx)
		if err == nil {
			window, err = target.CreateTarget("about:blank").WithBrowserContextID(own).WithNewWindow(true).Do(ctx)
		}
		return err
	}
	if err := chromedp.Run(parent, chromedp.ActionFunc(open)); err != nil {
		t.Fatalf("open a window: %v", err)
	}
	return window
}

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func eval[T any](b *tab, script string) (value T) {
	b.t.Helper()
	b.do(chromedp.Evaluate(script, &value))
	return value
}

func (b *tab) open(name string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address(name)), chromedp.WaitReady("body", chromedp.ByQuery))
}

// choose makes a choice on a page, and returns what the next page shows. Of twenty
// choices Chromium loses one or so: the page that stores it finds it there, no other page
// ever does. So there are five tries, of which a site that keeps nothing loses all.
func (b *tab) choose(on string, choice func(), next, script string, good func(string) bool) (got string) {
	b.t.Helper()
	for range 5 {
		b.open(on)
		choice()
		for range 5 { // the next page's process may start with the store as it was
			b.open(next)
			if got = eval[string](b, script); good(got) {
				return got
			}
		}
	}
	return got
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(selector, chromedp.ByQuery))
}

func (b *tab) look(width int64, scheme string) {
	b.t.Helper()
	b.do(emulation.SetDeviceMetricsOverride(width, 800, 1, width < 500),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}))
}

func address(name string) string {
	return (&url.URL{Scheme: "file", Path: filepath.Join(dir, "site", name)}).String()
}

// pages of the site: all of the book, and one source file.
func pages(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{"en/*.html", "zh-TW/*.html"} {
		found, _ := filepath.Glob(filepath.Join(dir, "site", pattern))
		for _, f := range found {
			name, _ := filepath.Rel(filepath.Join(dir, "site"), f)
			names = append(names, name)
		}
	}
	if len(names) < 4 {
		t.Fatalf("only %q", names)
	}
	sources, _ := filepath.Glob(filepath.Join(dir, "site", "en", "source", "*", "*.go.html"))
	if len(sources) == 0 {
		t.Fatal("no source file")
	}
	name, _ := filepath.Rel(filepath.Join(dir, "site"), sources[0])
	return append(names, name)
}

// Every page, from a desktop's width to a phone's, light and dark: no errors, no
// requests, nothing wider than the screen, no command cut or covered, no fault
// that axe can find, paper.
func TestPages(t *testing.T) {
	newTab(t)
	axe := axeSource(t)
	for _, name := range pages(t) {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			grounds := map[string]bool{}
			for _, look := range []struct {
				width  int64
				scheme string
				axe    bool
			}{{1440, "light", true}, {1024, "light", false}, {390, "dark", true}} {
				b.look(look.width, look.scheme)
				b.open(name)
				if wide := eval[string](b, tooWide); wide != "" {
					t.Errorf("at %d pixels, wider than the screen: %s", look.width, wide)
				}
				if cut := eval[string](b, cutCommands); cut != "" {
					t.Errorf("at %d pixels, typed, but cut or covered: %s", look.width, cut)
				}
				grounds[eval[string](b, `getComputedStyle(document.body).backgroundColor`)] = true
				if !look.axe {
					continue
				}
				if faults := findFaults(b, axe); faults != "" {
					t.Errorf("axe, %d pixels, %s:\n%s", look.width, look.scheme, faults)
				}
			}
			if len(grounds) != 2 {
				t.Errorf("light and dark have the grounds %v", grounds)
			}
			if n := printed(b); n == 0 {
				t.Error("prints to no page")
			}
		})
	}
}

// cutCommands are commands that end outside their block, or under a button.
const cutCommands = `[...document.querySelectorAll("pre kbd")].filter(k => {
	const block = k.closest("pre").getBoundingClientRect();
	const buttons = [...k.closest("figure").querySelectorAll(".copy")].map(b => b.getBoundingClientRect());
	return [...k.getClientRects()].some(r => r.width && (r.left < block.left || r.right > block.right + .5 ||
		buttons.some(b => b.left < r.right && r.left < b.right && b.top < r.bottom && r.top < b.bottom)));
}).concat([...document.querySelectorAll("figure:is(.sh, .bash) pre")].filter(p => p.scrollWidth > p.clientWidth + 1)).map(k => k.textContent).slice(0, 3).join("\n")`

const tooWide = `(() => {
	const root = document.documentElement;
	if (root.scrollWidth <= root.clientWidth) return "";
	return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1)
		.map(e => e.outerHTML.slice(0, 80)).slice(0, 3).join("\n") || "the page";
})()`

func findFaults(b *tab, axe string) string {
	b.t.Helper()
	b.do(chromedp.Evaluate(axe, nil))
	var faults string
	b.do(chromedp.Evaluate(`axe.run({preload: false, resultTypes: ["violations"]}).then(r => r.violations.map(v =>
		"  " + v.id + ": " + v.help + "\n" + v.nodes.slice(0, 3).map(n => "    " + n.html.slice(0, 160) + " " + (n.any[0]?.message ?? "")).join("\n")).join("\n"))`,
		&faults, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return faults
}

var pdfPage = regexp.MustCompile(`/Type\s*/Page\b[^s]`)

// printed is the number of sheets.
func printed(b *tab) int {
	b.t.Helper()
	var pdf []byte
	b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		pdf, _, err = page.PrintToPDF().WithPreferCSSPageSize(true).Do(ctx)
		return err
	}))
	return len(pdfPage.FindAll(pdf, -1))
}

func TestSearch(t *testing.T) {
	for _, c := range []struct{ page, word string }{
		{"en/index.html", "memory.limit_in_bytes"},
		{"zh-TW/index.html", "memory.limit_in_bytes"},
		{"zh-TW/index.html", "記憶體"},
	} {
		t.Run(c.page+" "+c.word, func(t *testing.T) {
			b := newTab(t)
			b.look(1280, "light")
			b.open(c.page)
			// Only the press: chromedp's own KeyEvent would type the character too, which the page refuses.
			b.do(input.DispatchKeyEvent(input.KeyRawDown).WithKey("/"), chromedp.WaitVisible("dialog.search input", chromedp.ByQuery),
				input.InsertText(c.word))
			b.arrived(address(c.page), `!!document.querySelector("#results a mark")`)
			if faults := findFaults(b, axeSource(t)); faults != "" {
				t.Errorf("axe, with the search open:\n%s", faults)
			}
			for range 2 {
				b.do(chromedp.KeyEvent(kb.ArrowDown))
			}
			b.do(chromedp.KeyEvent(kb.ArrowUp))
			target := eval[string](b, `document.querySelector("#results [aria-selected=true]").href`)
			b.do(chromedp.KeyEvent(kb.Enter))
			b.arrived(target, fmt.Sprintf("location.href === %q && !document.querySelector('dialog').open", target))
			if !eval[bool](b, fmt.Sprintf("document.body.textContent.includes(%q)", c.word)) {
				t.Errorf("%s does not have %s", target, c.word)
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		b := newTab(t)
		b.open("en/index.html")
		b.click("[data-search]")
		b.do(chromedp.WaitVisible("dialog.search input", chromedp.ByQuery), input.InsertText("xyzzyplugh"))
		b.arrived(address("en/index.html"), `document.querySelector(".hint").textContent === "Nothing found."`)
		b.do(chromedp.KeyEvent(kb.Escape))
		b.arrived(address("en/index.html"), `!document.querySelector("dialog").open`)
	})
}

// The switch leads to the same page, and to the same section of it.
func TestLanguage(t *testing.T) {
	b := newTab(t)
	b.look(1280, "light")
	for _, name := range pages(t) {
		language, file := filepath.Split(name)
		other := map[string]string{"en/": "zh-TW/", "zh-TW/": "en/"}[language]
		if other == "" || file == "show.html" { // the slides themselves: nothing but slides on the screen
			continue
		}
		b.open(name)
		b.click("a.switch")
		b.arrived(address(other+file), "true")
		b.open(name)
		twin := eval[string](b, `(() => {
			const h = [...document.querySelectorAll("article h2")].at(-1);
			h?.scrollIntoView({behavior: "instant"});
			if (!h || h.getBoundingClientRect().top > innerHeight / 4) return "";
			return h.dataset.twin;
		})()`)
		if twin == "" {
			continue // a page too short to scroll
		}
		b.do(chromedp.Evaluate(`document.querySelector("a.switch").click()`, nil)) // a click by mouse may scroll
		b.arrived(address(other+file), "true")
		if hash := eval[string](b, "decodeURIComponent(location.hash)"); hash != "#"+twin {
			t.Errorf("%s: the switch leads to %s, want #%s", name, hash, twin)
		}
		if !eval[bool](b, fmt.Sprintf("!!document.getElementById(%q)", twin)) {
			t.Errorf("%s: no section %s", other+file, twin)
		}
	}
}

// arrived waits for a page, and for a condition on it. In between there may be no
// page to ask.
func (b *tab) arrived(name, also string) {
	b.t.Helper()
	script := fmt.Sprintf(`location.pathname === new URL(%q).pathname && document.readyState === "complete" && (%s)`, name, also)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		var there bool
		if chromedp.Run(b, chromedp.Evaluate(script, &there)) == nil && there {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("did not arrive at %s, %s: %s", name, also, eval[string](b, `location.href + " " + document.querySelector("dialog input")?.value + " " + document.querySelector("#results")?.innerHTML.slice(0, 300)`))
}

func TestTheme(t *testing.T) {
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			b := newTab(t)
			b.look(1280, scheme)
			const ground = `getComputedStyle(document.body).backgroundColor`
			var before, after string
			click := func() {
				before = eval[string](b, ground)
				b.click("[data-theme-toggle]")
				after = eval[string](b, ground)
			}
			kept := b.choose("en/index.html", click, "zh-TW/index.html", ground, func(got string) bool { return got == after })
			if before == after || kept != after {
				t.Errorf("ground %s, after the click %s, on the next page %s", before, after, kept)
			}
			if faults := findFaults(b, axeSource(t)); faults != "" {
				t.Errorf("axe, with the scheme chosen:\n%s", faults)
			}
			b.click("[data-theme-toggle]")
			if got := eval[string](b, ground); got != before {
				t.Errorf("ground %s, after two clicks %s", before, got)
			}
		})
	}
}

var reference = regexp.MustCompile(`(?:href|src)="([^"]*)"`)

// No link within the site leads nowhere.
func TestReferences(t *testing.T) {
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	site := filepath.Join(dir, "site")
	err := filepath.Walk(site, func(file string, info os.FileInfo, err error) error {
		if err != nil || filepath.Ext(file) != ".html" {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range reference.FindAllSubmatch(content, -1) {
			u, err := url.Parse(strings.ReplaceAll(string(m[1]), "&amp;", "&"))
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			target := file
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(file), u.Path)
			}
			there, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s: %s leads nowhere", file, m[1])
			} else if u.Fragment != "" && filepath.Ext(target) == ".html" && !strings.Contains(string(there), `id="`+u.Fragment+`"`) {
				t.Errorf("%s: %s: no such place on the page", file, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
