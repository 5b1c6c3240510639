package booksite

import (
	_ "embed"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/creack/pty"
)

// queries are lines LANGUAGE|QUERY|PAGE..., the beginnings of the names of the
// pages of which one must come first.
//
//go:embed testdata/queries.txt
var queries string

func TestSearchTable(t *testing.T) {
	tabs := map[string]*tab{}
	n := 0
	for line := range strings.Lines(queries) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 3 {
			t.Fatalf("%q: want LANGUAGE|QUERY|PAGE...", line)
		}
		b := tabs[f[0]]
		if b == nil {
			b = newTab(t)
			b.open(f[0] + "/index.html")
			b.await(fmt.Sprintf(`new Promise(done => { const s = document.createElement("script"); s.src = "../assets/search-%s.js";
				s.onload = () => { window.prepared = bookSearch.prepare(window.bookIndex); done("") }; document.head.append(s); })`, f[0]))
			tabs[f[0]] = b
		}
		n++
		found := eval[[]string](b, fmt.Sprintf(`bookSearch.find(prepared, %q).found.slice(0, 3).map(s => s.u.split("/")[1] + " " + s.t)`, f[1]))
		good := false
		for _, want := range strings.Fields(f[2]) {
			good = good || len(found) > 0 && strings.HasPrefix(found[0], want)
		}
		if !good {
			t.Errorf("%s: %q finds %q, want %s first", f[0], f[1], found, f[2])
		}
	}
	if n < 40 {
		t.Errorf("only %d queries", n)
	}
}

// await returns what a promise resolves to.
func (b *tab) await(script string) (value string) {
	b.t.Helper()
	b.do(chromedp.Evaluate(script, &value, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return value
}

// copies are the texts that the buttons of a page put on the clipboard.
func (b *tab) copies(selector string) []string {
	b.t.Helper()
	text := b.await(fmt.Sprintf(`(async () => {
		const texts = [];
		Object.defineProperty(navigator, "clipboard", {value: {writeText: async text => texts.push(text)}});
		for (const button of document.querySelectorAll(%q)) { button.click(); await null; }
		return texts.join("\u0000");
	})()`, selector))
	return strings.Split(text, "\x00")
}

// In a console block, a button copies what is typed at one prompt. Pasted into a
// real bash, each line runs in the shell in which the page shows it, and nothing
// meant for an inner shell runs in the outer one.
func TestCopy(t *testing.T) {
	b := newTab(t)
	const typed = "$ echo outer $$ >> log\n$ echo \"two \\\n> lines\" >> log\n$ PS1='# ' sh\n# echo inner $$ >> log\n# echo more $$ >> log\n# exit\n$ echo again $$ >> log\n"
	repository := b.openFixture("# Page\n\n```console\n"+typed+"```\n", nil)
	parts := b.copies("figure.console .copy")
	if len(parts) != 3 {
		t.Fatalf("copied in %d parts: %q", len(parts), parts)
	}
	log := filepath.Join(repository, "log")
	paste(t, repository, append(parts[:1:1], "exit")) // whoever copies only the first
	if got, _ := os.ReadFile(log); !regexp.MustCompile(`^outer \d+\ntwo lines\n$`).Match(got) {
		t.Errorf("the first part alone ran\n%s", got)
	}
	_ = os.Remove(log)
	paste(t, repository, parts)
	got, _ := os.ReadFile(log)
	m := regexp.MustCompile(`^outer (\d+)\ntwo lines\ninner (\d+)\nmore (\d+)\nagain (\d+)\n$`).FindStringSubmatch(string(got))
	if m == nil || m[1] != m[4] || m[2] != m[3] || m[1] == m[2] {
		t.Errorf("pasted, this ran:\n%s", got)
	}
}

// openFixture opens a page of its own, the only one of its book, and returns
// its repository.
func (b *tab) openFixture(text string, more map[string]string) (repository string) {
	b.t.Helper()
	repository = b.t.TempDir()
	files := map[string]string{"go.work": "", "docs/en/README.md": text, "docs/zh-TW/README.md": "# 頁\n"}
	maps.Copy(files, more)
	for name, text := range files {
		file := filepath.Join(repository, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	if out, err := printSite(repository, filepath.Join(repository, "site")); err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	b.do(chromedp.Navigate((&url.URL{Scheme: "file", Path: filepath.Join(repository, "site/en/index.html")}).String()))
	return repository
}

// Changed lines of a rung stand out in light and dark, and can be read.
func TestRung(t *testing.T) {
	b := newTab(t)
	const before, after = "// Step 8.\npackage main\n\nfunc main() {\n\tprintln(8)\n}\n", "// Step 9.\npackage main\n\nfunc main() {\n\tprintln(\"nine\", 9, nil) // a comment\n}\n"
	for width, scheme := range map[int64]string{1440: "light", 390: "dark"} {
		b.look(width, scheme)
		b.openFixture("# Page\n\n[rungdiff]:# (../../day1-x/steps/08-a ../../day1-x/steps/09-b)\n```diff\n@@ line 1 @@\n-// Step 8.\n+// Step 9.\n package main\n@@ line 4 @@\n func main() {\n-\tprintln(8)\n+\tprintln(\"nine\", 9, nil) // a comment\n }\n```\n",
			map[string]string{"day1-x/steps/08-a/main.go": before, "day1-x/steps/09-b/main.go": after})
		if faults := findFaults(b, axeSource(t)); faults != "" {
			t.Errorf("axe, %s:\n%s", scheme, faults)
		}
		if n := eval[int](b, `new Set([".l:not(.ins, .del, .gap)", ".ins", ".del", ".gap"].map(c => getComputedStyle(document.querySelector("figure.diff " + c)).backgroundColor)).size`); n != 4 {
			t.Errorf("%s: %d grounds of lines, want 4", scheme, n)
		}
		if href := eval[string](b, `document.querySelector("figcaption a").href`); !strings.HasSuffix(href, "/en/source/day1-x/steps/09-b/main.go.html") {
			t.Errorf("the caption leads to %s", href)
		}
	}
}

// paste does it to a bash as a terminal does: in brackets where the program has
// asked for them, and then Enter.
func paste(t *testing.T, dir string, parts []string) {
	t.Helper()
	bash := exec.Command("bash", "--norc", "--noprofile", "-i")
	bash.Dir, bash.Env = dir, append(os.Environ(), "TERM=xterm", "PS1=$ ", "HISTFILE=")
	terminal, err := pty.Start(bash)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	defer func() { _ = bash.Process.Kill(); _ = bash.Wait() }()
	var mu sync.Mutex
	var shown string
	changed := time.Now()
	go func() {
		p := make([]byte, 4096)
		for {
			n, err := terminal.Read(p)
			mu.Lock()
			shown += string(p[:n])
			changed = time.Now()
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	typed := 0 // what was shown when we last typed
	settled := func() string {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			mu.Lock()
			text, quiet := shown, time.Since(changed)
			mu.Unlock()
			if len(text) == typed { // not even an echo yet
				quiet = 0
			}
			if quiet > 400*time.Millisecond && strings.HasSuffix(strings.TrimRight(text, " "), "$") || strings.HasSuffix(text, "# ") && quiet > 400*time.Millisecond {
				return text
			}
			if time.Now().After(deadline) {
				t.Fatalf("no prompt after %q", text)
			}
		}
	}
	for _, part := range parts {
		text := settled()
		if strings.LastIndex(text, "\x1b[?2004h") > strings.LastIndex(text, "\x1b[?2004l") {
			part = "\x1b[200~" + part + "\x1b[201~"
		}
		typed = len(text)
		if _, err := terminal.WriteString(part + "\r"); err != nil {
			t.Fatal(err)
		}
	}
	settled()
}

// On all pages of the book no button copies lines of two prompts.
func TestCopyPages(t *testing.T) {
	b := newTab(t)
	n := 0
	for _, name := range pages(t) {
		b.open(name)
		if mixed := eval[string](b, `[...document.querySelectorAll(".typed[data-copy]")].filter(line => {
			const prompts = new Set();
			let lines = line.dataset.copy.split("\n").length;
			for (let l = line; l && lines; l = l.nextElementSibling) {
				if (!l.matches(".typed")) continue;
				lines--;
				const prompt = l.querySelector(".prompt").textContent;
				if (prompt !== "> ") prompts.add(prompt.replace(/^[\/~].*# $/, "/ # "));
			}
			return prompts.size !== 1 || lines;
		}).map(line => line.dataset.copy).join("\n---\n")`); mixed != "" {
			t.Errorf("%s: %s", name, mixed)
		}
		n += eval[int](b, `document.querySelectorAll(".typed[data-copy]").length`)
	}
	if n < 50 {
		t.Errorf("only %d buttons", n)
	}
}

// The versions of cgroups have tabs. The choice holds for all pairs, on all
// pages, and paper shows both.
func TestTabs(t *testing.T) {
	b := newTab(t)
	b.look(1440, "light")
	const shown = `[...document.querySelectorAll(".version")].map(v => getComputedStyle(v).display === "none" ? "" : v.dataset.version).join(" ").trim().replace(/ +/g, " ")`
	only := func(version string) func(string) bool {
		return func(got string) bool {
			return got != "" && strings.ReplaceAll(got, version, "") == strings.Repeat(" ", strings.Count(got, " "))
		}
	}
	one := func(name, version, got string) {
		t.Helper()
		if !only(version)(got) {
			t.Errorf("%s shows %q, want %s", name, got, version)
		}
	}
	const page, other = "en/day2-cgroups.html", "zh-TW/troubleshooting.html"
	b.open(page)
	one(page, "v2", eval[string](b, shown))
	v1 := func() { b.click(".pair [role=tab][value=v1]") }
	one(page, "v1", b.choose(page, v1, page, shown, only("v1")))
	one(other, "v1", b.choose(page, v1, other, shown, only("v1")))
	if faults := findFaults(b, axeSource(t)); faults != "" {
		t.Error(faults)
	}
	b.do(emulation.SetEmulatedMedia().WithMedia("print"))
	if got := eval[string](b, shown); !strings.Contains(got, "v1") || !strings.Contains(got, "v2") {
		t.Errorf("paper shows %q", got)
	}
	b.do(emulation.SetEmulatedMedia().WithMedia(""))
	left := func() {
		b.click("[role=tab][value=v1]")
		b.do(chromedp.Focus("[role=tab][aria-selected=true]", chromedp.ByQuery), chromedp.KeyEvent("\u0302")) // arrow left
	}
	one(page, "v2", b.choose(other, left, page, shown, only("v2")))
}

// An exercise is a page: its hints are folded, the menu, the search and the
// other language are there, and a way back.
func TestExercises(t *testing.T) {
	b := newTab(t)
	b.look(1440, "light")
	b.open("zh-TW/exercises.html")
	b.click(`article a[href$="day1-exercise-3.html"]`)
	b.arrived(address("zh-TW/day1-exercise-3.html"), "document.querySelectorAll('article details:not([open])').length >= 2")
	if got := eval[string](b, `document.querySelector("nav.pages [aria-current]").textContent + document.documentElement.lang`); got != "練習zh-Hant-TW" {
		t.Errorf("the menu has %s", got)
	}
	b.click("a.switch")
	b.arrived(address("en/day1-exercise-3.html"), "true")
	b.click(".back a")
	b.arrived(address("en/exercises.html"), "true")
	if raw := eval[string](b, `document.body.innerHTML.includes("&lt;details&gt;") ? "raw Markdown" : ""`); raw != "" {
		t.Error(raw)
	}
}

// On a phone the menu and the contents stay at hand, open over the page and
// close again.
func TestPhone(t *testing.T) {
	b := newTab(t)
	b.look(390, "light")
	b.open("zh-TW/day1-namespaces.html")
	b.do(chromedp.Evaluate(`scrollTo({top: 3000, behavior: "instant"})`, nil))
	for _, nav := range []string{"nav.pages", "nav.contents"} {
		b.click(nav + " summary")
		if got := eval[string](b, fmt.Sprintf(`(() => { const r = document.querySelector("%s a").getBoundingClientRect();
			const list = document.querySelector("%[1]s details > :last-child").getBoundingClientRect();
			return list.left >= 0 && list.right <= innerWidth && r.top > 0 && r.bottom < innerHeight && document.elementFromPoint(r.left + 5, r.top + 5).closest("%[1]s") ? "" : JSON.stringify([r, list]) })()`, nav)); got != "" {
			t.Errorf("%s opens at %s", nav, got)
		}
		b.do(chromedp.KeyEvent("\x1b"))
		if eval[bool](b, fmt.Sprintf(`document.querySelector("%s details").open`, nav)) {
			t.Errorf("%s does not close", nav)
		}
	}
}

// Paper shows pictures that move at their end, and solutions only if they have
// been unfolded.
func TestPaper(t *testing.T) {
	b := newTab(t)
	b.look(1440, "light")
	b.open("en/day2-cgroups.html")
	b.do(emulation.SetEmulatedMedia().WithMedia("print"))
	if got := eval[string](b, `[...document.images].filter(i => /day2-demo/.test(i.src)).map(i => (getComputedStyle(i).display === "none" ? "hidden " : i.complete && i.naturalWidth ? "shown " : "empty ") + i.src.replace(/.*\//, "")).join(", ")`); got != "shown day2-demo.svg#still, hidden day2-demo.svg" {
		t.Errorf("the moving picture: %s", got)
	}
	b.do(chromedp.Evaluate(`dispatchEvent(new Event("beforeprint"))`, nil))
	if n := eval[int](b, `document.querySelectorAll("details[open]:not(nav details)").length`); n != 0 {
		t.Errorf("%d are unfolded", n)
	}
}
