package main

import (
	"slices"
	"strings"
)

// words of the site itself, by language.
var words = []map[string]string{
	{
		"title": "go-docker, day by day", "skip": "Skip to the text", "search": "Search", "find": "Search the book",
		"none": "Nothing found.", "hint": "Best match first. Arrows choose, Enter opens.", "close": "Close",
		"theme": "Light or dark", "pages": "Pages", "menu": "Menu", "contents": "On this page", "previous": "Previous", "next": "Next",
		"copy": "Copy", "copied": "Copied", "anchor": "Link to", "code": "Code", "table": "Table",
		"v1": "cgroup v1", "v2": "cgroup v2", "versions": "cgroup version", "second": "second terminal", "third": "third terminal",
		"terminal": "terminal", "lines": "lines", "from": "changed from", "exercises": "All exercises",
	},
	{
		"title": "一天一章，動手寫 go-docker", "skip": "跳到內文", "search": "搜尋", "find": "搜尋全書",
		"none": "沒有找到。", "hint": "最相符的排最前面；方向鍵選擇，Enter 開啟。", "close": "關閉",
		"theme": "亮色或暗色", "pages": "章節", "menu": "選單", "contents": "本頁目錄", "previous": "上一頁", "next": "下一頁",
		"copy": "複製", "copied": "已複製", "anchor": "連結：", "code": "程式碼", "table": "表格",
		"v1": "cgroup v1", "v2": "cgroup v2", "versions": "cgroup 版本", "second": "第二個終端機", "third": "第三個終端機",
		"terminal": "終端機", "lines": "行", "from": "改自", "exercises": "所有練習",
	},
}

// The menu: groups of pages with names that are shorter than their titles.
var menu = []struct {
	titles [2]string
	pages  [][3]string // page, name by language; a blank before a name sets it below the one above
}{
	{[2]string{"Learn", "學習"}, slices.Concat(
		[][3]string{
			{"README.md", "Start here", "從這裡開始"},
			{"requirements.md", "Requirements", "需求"},
		},
		day("1", "namespaces", "Namespaces", "命名空間"),
		day("2", "cgroups", "Cgroups", "cgroup"),
		day("3", "images", "Images", "映像檔"),
		day("4", "lifecycle", "Lifecycle", "生命週期"),
		day("5", "networks", "Networks", "網路"),
		[][3]string{{exercisesPage, "Exercises", "練習"}},
	)},
	{[2]string{"Look up", "查閱"}, [][3]string{
		{"troubleshooting.md", "Troubleshooting", "疑難排解"},
		{"glossary.md", "Glossary", "詞彙表"},
		{"figures.md", "Figures", "數據"},
		{"reading.md", "Further reading", "延伸閱讀"},
	}},
	{[2]string{"Teach", "教學"}, [][3]string{
		{"workshop.md", "Workshop", "工作坊"},
		{slidesPage, "Slides", "投影片"},
	}},
}

// day has the pages of a day; the second one in Go may be missing.
func day(n, topic, english, chinese string) [][3]string {
	return [][3]string{
		{"day" + n + "-" + topic + ".md", "Day " + n + " " + english, "第 " + n + " 天　" + chinese},
		{"day" + n + "-go.md", " in Go", " 用 Go 寫"},
		{"day" + n + "-go2.md", " in Go, part 2", " 用 Go 寫（二）"},
		{"day" + n + "-real.md", " for real", " 真實世界"},
	}
}

// pageNames are the pages of the book, in reading order.
func pageNames() (names []string) {
	for _, m := range menu {
		for _, e := range m.pages {
			names = append(names, e[0])
		}
	}
	return names
}

const exercisesPage, slidesPage = "exercises.md", "slides.md"

type group struct {
	Title   string
	Entries []entry
}

type entry struct {
	Title, Link string
	Below       bool
	Current     bool
}

// groups is the menu on a page; a page that is not in it is an exercise.
func (s *site) groups(language int, current string) (groups []group) {
	for _, m := range menu {
		g := group{Title: m.titles[language]}
		for _, e := range m.pages {
			if s.book.pages[language][e[0]] == nil {
				continue
			}
			name := e[1+language]
			g.Entries = append(g.Entries, entry{
				Title: strings.TrimSpace(name), Below: strings.HasPrefix(name, " "),
				Link: languages[language].Dir + "/" + htmlName(e[0]), Current: e[0] == current || e[0] == exercisesPage && isExercise(current),
			})
		}
		groups = append(groups, g)
	}
	return groups
}
