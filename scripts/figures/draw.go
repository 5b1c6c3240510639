package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// words are what a table and the picture say, in one language.
type words struct {
	dir, picture   string
	median, memory string
	rounds         func(n int) string
	processes      func(n int) string
	title, about   string
	sections       map[string]string
}

var languages = []words{
	{
		dir: "en", picture: "figures.svg", median: "median", memory: "MB at most",
		rounds:    func(n int) string { return fmt.Sprintf("%d rounds", n) },
		processes: func(n int) string { return fmt.Sprintf("%d processes", n) },
		title:     "This repository's programs beside others",
		about:     "Bars of the median time of each program: starting a container, unpacking an image, pulling one, and two hundred containers at once. The tables on the page have the numbers.",
		sections: map[string]string{
			"start": "Start and remove one container", "at once 200": "200 containers at once",
			"unpack": "Unpack an image of five layers", "pull": "Pull it from a registry",
		},
	},
	{
		dir: "zh-TW", picture: "figures.zh-TW.svg", median: "中位數", memory: "最多 MB",
		rounds:    func(n int) string { return fmt.Sprintf("%d 輪", n) },
		processes: func(n int) string { return fmt.Sprintf("%d 個行程", n) },
		title:     "本儲存庫的程式與其他工具",
		about:     "每個程式所需時間的中位數：啟動一個容器、解開一個映像檔、拉取一個映像檔，以及同時啟動兩百個容器。數字見頁面上的表格。",
		sections: map[string]string{
			"start": "啟動並移除一個容器", "at once 200": "同時啟動 200 個容器",
			"unpack": "解開五層的映像檔", "pull": "從登錄伺服器拉取",
		},
	},
}

// drawn are the sections in the picture.
var drawn = []string{"start", "at once 200", "unpack", "pull"}

const style = `.t{fill:#1f2328}.q{fill:#59636e}.d{fill:#8c959f}.m{fill:#0969da}.h{font-weight:700;font-size:18px}
@media(prefers-color-scheme:dark){.t{fill:#e6edf3}.q{fill:#9198a1}.d{fill:#656c76}.m{fill:#58a6ff}}`

// draw is the picture: for each section a bar for each row, as long as its
// median, the longest as long as there is room.
func draw(sections map[string][]row, w words) string {
	const width, left, room, height = 760, 300, 350, 26
	var body strings.Builder
	y := 12
	for _, name := range drawn {
		rows := sections[name]
		if rows == nil {
			continue
		}
		y += 34
		fmt.Fprintf(&body, "<text class=\"t h\" x=\"20\" y=\"%d\">%s</text>\n", y, escape(w.sections[name]))
		longest := 0.0
		for _, r := range rows {
			longest = max(longest, quantile(r.Seconds, 0.5))
		}
		y += 10
		for _, r := range rows {
			class := "d"
			if isOurs(r) {
				class = "m"
			}
			median := quantile(r.Seconds, 0.5)
			length := max(2, room*median/longest)
			fmt.Fprintf(&body, "<text class=\"t\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", left-10, y+18, escape(r.Name))
			fmt.Fprintf(&body, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.0f\" height=\"18\" rx=\"3\"/>", class, left, y+4, length)
			fmt.Fprintf(&body, "<text class=\"q\" x=\"%.0f\" y=\"%d\">%s</text>\n", left+length+8, y+18, duration(median))
			y += height
		}
	}
	y += 16
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="t d" font-family="system-ui, -apple-system, 'Segoe UI', 'Noto Sans TC', sans-serif" font-size="14">
<title id="t">%s</title>
<desc id="d">%s</desc>
<style>%s</style>
%[6]s</svg>
`, width, y, escape(w.title), escape(w.about), style, body.String())
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder does not fail
	return b.String()
}
