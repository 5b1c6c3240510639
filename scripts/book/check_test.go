package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sourceFile = "package main\n\n// f adds.\nfunc f(a int) int {\n\tb := a + 1\n\treturn b\n}\n"

const embedding = "# Page\n\nText.\n\n[embedmd]:# (source.go go /^func f/ /^}/)\n```go\nfunc f(a int) int {\n\tb := a + 1\n\treturn b\n}\n```\n"

func TestCode(t *testing.T) {
	for _, c := range []struct{ name, page, source, want string }{
		{"right", embedding, sourceFile, ""},
		{"a changed line of the source", embedding, strings.Replace(sourceFile, "+ 1", "+ 2", 1), "8: the page:   \tb := a + 1\n  the source: \tb := a + 2"},
		{"a changed line of the page", strings.Replace(embedding, "return b", "return a", 1), sourceFile, "9: differs from source.go"},
		{"a line gone from the source", embedding, strings.Replace(sourceFile, "\tb := a + 1\n", "", 1), "8: differs from source.go"},
		{"a function gone from the source", embedding, "package main\n", "5: "},
		{"no source", strings.Replace(embedding, "source.go", "other.go", 1), sourceFile, "5: "},
		{"no marker", "# Page\n\n```go\nfunc g() {}\n```\n", sourceFile, "3: not taken from a source"},
		{"not filled", "# Page\n\n[embedmd]:# (source.go go /^func f/ /^}/)\n\nText.\n", sourceFile, "4: embedded code is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := fixture(t, c.page)
			if err := os.WriteFile(filepath.Join(filepath.Dir(p.path), "source.go"), []byte(c.source), 0o644); err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				expect(t, p.checkCode())
			} else {
				expect(t, p.checkCode(), c.want)
			}
		})
	}
}

func TestFill(t *testing.T) {
	p := fixture(t, embedding)
	if err := os.WriteFile(filepath.Join(filepath.Dir(p.path), "source.go"), []byte(strings.Replace(sourceFile, "+ 1", "+ 2", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed, failed, err := p.fill(); !changed || failed != nil || err != nil {
		t.Fatal(changed, failed, err)
	}
	got, err := os.ReadFile(p.path)
	if want := strings.Replace(embedding, "+ 1", "+ 2", 1); err != nil || string(got) != want {
		t.Errorf("%v, got:\n%s", err, got)
	}
}

func TestLinks(t *testing.T) {
	p := fixture(t, `# The page, with `+"`code`"+`

[here](#the-page-with-code) [not here](#the-page)
[file](page.md) [no file](other.md)
[中文](#第二節記憶體的上限)
![](page.md)
![a picture](https://example.com/a.svg)
[web](https://example.com/) [odd](ftp://example.com/)

## 第二節：記憶體的上限
`)
	expect(t, p.checkLinks(),
		"3: the link #the-page leads nowhere",
		"4: the link other.md leads nowhere",
		"6: a picture without a text",
		"7: is not in the repository",
		"8: want http or https")
}

func TestTranslation(t *testing.T) {
	const english = "# Page\n\n[a](a.md) and ![p](p.svg)\n\n## Section\n\n```sh\ntrue\nfalse\n```\n"
	for _, c := range []struct {
		name, page string
		want       []string
	}{
		{"the same", english, nil},
		{"its own picture", strings.Replace(english, "p.svg", "p.zh-TW.svg", 1), nil},
		{"a heading of another level", strings.Replace(english, "## S", "### S", 1), []string{"5: a heading of level 3"}},
		{"a heading too few", strings.Replace(english, "## S", "S", 1), []string{"11: is missing"}},
		{"a heading too many", english + "\n# More\n", []string{"12: one heading more"}},
		{"other code", strings.Replace(english, "false", "fals", 1), []string{"9: code differs"}},
		{"code marked otherwise", strings.Replace(english, "```sh", "```bash", 1), []string{"7: marked \"bash\""}},
		{"code too few", strings.Split(english, "```")[0], []string{"7: the code of"}},
		{"another link", strings.Replace(english, "a.md", "b.md", 1), []string{"3: a link to b.md", "1: the link to a.md"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, fixture(t, c.page).checkTranslation(parsePage("english.md", []byte(english)), "zh-TW"), c.want...)
		})
	}
}

func TestSections(t *testing.T) {
	var all []string
	for _, s := range forReal {
		all = append(all, "## "+s.titles[0]+"\n")
	}
	page := func(parts ...string) *page { return fixture(t, "# Day\n"+strings.Join(parts, "")) }
	expect(t, page(all...).checkSections(0, forReal))
	expect(t, page(append(all[:2:2], all[3:]...)...).checkSections(0, forReal)) // v1 beside v2 is optional
	expect(t, page(all[1:]...).checkSections(0, forReal), `2: "What goes wrong" is missing`)
	expect(t, page(all[:7]...).checkSections(0, forReal), `9: "The day on one page" is missing`)
	expect(t, page(append([]string{"## Other\n"}, all...)...).checkSections(0, forReal), `2: "Other" is not a section`)
	expect(t, page(append(all, all[1])...).checkSections(0, forReal), `10: "What the program adds" is out of order`)
}

func TestTerms(t *testing.T) {
	terms, err := readTerms(docs(t))
	if err != nil || len(terms) < 15 {
		t.Fatalf("%v, %v", terms, err)
	}
	expect(t, fixture(t, "# 頁\n\n檔案描述子與`描述元`，掛載 `mount` 命名空間。階梯的第 6 步。Prunes, wrung.\n\n```sh\n# 記錄\n```\n").checkTerms(terms))
	expect(t, fixture(t, "# 頁\n\n檔案**描述元**。\n\n| 見 | [第一天](a.md) |\n|---|---|\n").checkTerms(terms), "3: 描述元: write 描述子", "5: write 第 1 天")
	expect(t, fixture(t, "# 頁\n\n一個 mount 命名空間、mount命名空間、mount\n**命名空間**。\n\n第 12 階。A rung.\n\n**什麼？**用。\n").checkTerms(terms),
		"3: write 掛載命名空間", "3: write 掛載命名空間", "3: write 掛載命名空間", "6: 第 12 階: write 第 N 步", "6: rung: write step", "8: **: write a blank", "8: **: write a blank")
}

// Each block of a v1/v2 pair has its line; a block alone needs none.
func TestVersions(t *testing.T) {
	const v2, v1 = "```console v2\n$ true\n```\n\n", "```console v1\n$ true\n```\n"
	expect(t, fixture(t, "cgroup v2:\n\n"+v2+"cgroup v1：\n\n"+v1).checkVersions())
	expect(t, fixture(t, "Alone:\n\n"+v1).checkVersions())
	expect(t, fixture(t, v2+"On v1 it is a directory of its own, and the files are in it:\n\n"+v1).checkVersions())
	expect(t, fixture(t, "Both:\n\n"+v2+v1).checkVersions(), "3: \"cgroup v2:\" above", "7: \"cgroup v1:\" above")
}

// Each page of a day holds its form, and none is too long.
func TestDay(t *testing.T) {
	body := func(sections []section) (text string) {
		text = "# Day\n"
		for _, s := range sections {
			text += "## " + s.titles[0] + "\n"
		}
		return text
	}
	hand, real := fixture(t, body(byHand)), fixture(t, body(forReal))
	expect(t, hand.checkDay(0, "day9-x.md", nil))
	expect(t, hand.checkDay(0, "day9-real.md", nil)[:1], `2: "You are here" is not a section`)
	expect(t, real.checkDay(0, "day9-real.md", nil))
	expect(t, fixture(t, "# Go\n"+strings.Repeat("\n", maxLines)).checkDay(0, "day9-go.md", nil), "450: 451 lines")
}
