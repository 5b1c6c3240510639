package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"github.com/urfave/cli/v2"
)

const (
	recordColumns, recordRows = 84, 32
	recordCommand             = "go run ./day2-cgroups"
	typing                    = 55 * time.Millisecond // from key to key
	frameGap                  = 60 * time.Millisecond // at least, from frame to frame
	longestPause              = time.Second           // what takes longer is cut
	lastHold                  = 6 * time.Second       // before it begins again
)

// A frame is what the terminal shows from one moment on.
type frame struct {
	at    time.Duration
	lines [][]run
}

// A run is text of one color.
type run struct {
	column int
	text   string
	color  vt10x.Color
}

func recordAction(ctx *cli.Context) error {
	root, err := repositoryRoot()
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("the demo needs root")
	}
	// Compiling is nothing to look at.
	build := exec.Command("go", "build", "-o", os.DevNull, "./day2-cgroups")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the demo: %w\n%s", err, out)
	}
	frames, err := record(root, recordCommand)
	if err != nil {
		return err
	}
	file := ctx.String("output")
	if !filepath.IsAbs(file) && !ctx.IsSet("output") {
		file = filepath.Join(root, file)
	}
	title := "A terminal: go run ./day2-cgroups draws the container's memory, which rises to its limit of 100 MiB until the kernel kills it"
	return os.WriteFile(file, moving(frames, title), 0o644)
}

// record types a command into a shell and records what the terminal shows.
func record(dir, command string) ([]frame, error) {
	cmd := exec.Command("bash", "--norc", "--noprofile", "-i")
	cmd.Dir = dir
	cmd.Env = append(environment(), "PS1=# ", "HISTFILE=")
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: recordRows, Cols: recordColumns})
	if err != nil {
		return nil, fmt.Errorf("start bash on a terminal: %w", err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGHUP)
		_ = cmd.Wait()
		master.Close()
	}()
	printed := make(chan []byte)
	go func() {
		defer close(printed)
		for {
			p := make([]byte, 4096)
			n, err := master.Read(p)
			if n > 0 {
				printed <- p[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	screen := vt10x.New(vt10x.WithSize(recordColumns, recordRows))
	var frames []frame
	var cut, last time.Duration // left out so far; of the last frame
	start := time.Now()
	// watch notes frames for as long as there is output, and then until quiet.
	watch := func(quiet time.Duration, done func() bool) error {
		deadline := time.After(time.Minute)
		for {
			select {
			case p, ok := <-printed:
				if !ok {
					return errors.New("bash has ended")
				}
				_, _ = screen.Write(p)
				now := time.Since(start)
				if now-last > longestPause {
					cut += now - last - longestPause
				}
				last = now
				f := frame{now - cut, look(screen)}
				if n := len(frames); n > 0 && f.at-frames[n-1].at < frameGap {
					f.at = frames[n-1].at
					frames[n-1] = f
				} else {
					frames = append(frames, f)
				}
			case <-time.After(quiet):
				if done() {
					return nil
				}
			case <-deadline:
				return errTimeLimit
			}
		}
	}
	atPrompt := func() bool {
		c := screen.Cursor()
		return c.X == 2 && screen.Cell(0, c.Y).Char == '#'
	}
	if err := watch(300*time.Millisecond, atPrompt); err != nil {
		return nil, err
	}
	for _, key := range command {
		if _, err := master.WriteString(string(key)); err != nil {
			return nil, fmt.Errorf("type: %w", err)
		}
		if err := watch(typing, func() bool { return true }); err != nil {
			return nil, err
		}
	}
	if _, err := master.WriteString("\r"); err != nil {
		return nil, fmt.Errorf("type: %w", err)
	}
	if err := watch(500*time.Millisecond, atPrompt); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return frames, nil
}

// look notes what is on the screen.
func look(screen vt10x.Terminal) [][]run {
	var lines [][]run
	for y := range recordRows {
		var line []run
		for x := range recordColumns {
			cell := screen.Cell(x, y)
			c := max(cell.Char, ' ')
			if n := len(line); n > 0 && (line[n-1].color == cell.FG || c == ' ') {
				line[n-1].text += string(c)
			} else if c != ' ' {
				line = append(line, run{x, string(c), cell.FG})
			}
		}
		for i := range line {
			line[i].text = strings.TrimRight(line[i].text, " ")
		}
		lines = append(lines, line)
	}
	for len(lines) > 0 && len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	return lines
}

const (
	cellWidth, cellHeight = 8.0, 18.0
	margin                = 14.0
)

// moving turns the frames into an SVG picture, a strip of film that is pulled past
// a window. Whoever wants no motion, or cannot have it, sees the last frame.
func moving(frames []frame, title string) []byte {
	rows := 0
	for _, f := range frames {
		rows = max(rows, len(f.lines))
	}
	width := 2*margin + recordColumns*cellWidth
	height := 2*margin + float64(rows)*cellHeight
	last := frames[len(frames)-1].at
	total := last + lastHold
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg id="still" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img" aria-labelledby="title">
<title id="title">%s</title>
<style>
.ground { fill: #f6f8fa; stroke: #d0d7de } text { fill: #24292f; font: 13px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre }
.c1 { fill: #cf222e } .c2 { fill: #116329 } .c3 { fill: #7d4e00 } .c4 { fill: #0550ae } .c5 { fill: #8250df } .c6 { fill: #1b7c83 }
@media (prefers-color-scheme: dark) {
.ground { fill: #161b22; stroke: #30363d } text { fill: #e6edf3 }
.c1 { fill: #ff7b72 } .c2 { fill: #56d364 } .c3 { fill: #e3b341 } .c4 { fill: #79c0ff } .c5 { fill: #d2a8ff } .c6 { fill: #56d4dd }
}
.film { transform: translateY(%gpx) }
@media (prefers-reduced-motion: no-preference) { .film { animation: film %gs step-end infinite } }
svg:target .film { animation: none }
@keyframes film {
`, width, height, width, height, escape(title), -height*float64(len(frames)-1), total.Seconds())
	for i, f := range frames {
		at := 100 * f.at.Seconds() / total.Seconds()
		if i == 0 {
			at = 0
		}
		fmt.Fprintf(&out, "%.2f%% { transform: translateY(%gpx) }\n", at, -height*float64(i))
	}
	fmt.Fprintf(&out, "}\n</style>\n<rect class=\"ground\" x=\".5\" y=\".5\" width=\"%g\" height=\"%g\" rx=\"8\"/>\n<g class=\"film\">\n", width-1, height-1)
	for i, f := range frames {
		fmt.Fprintf(&out, "<g transform=\"translate(%g %g)\">\n", margin, margin+height*float64(i))
		for y, line := range f.lines {
			for _, r := range line {
				class := ""
				if r.color > 0 && r.color < 16 && r.color%8 > 0 && r.color%8 < 7 {
					class = fmt.Sprintf(` class="c%d"`, r.color%8)
				}
				n := float64(len([]rune(r.text)))
				fmt.Fprintf(&out, "<text x=\"%g\" y=\"%g\" textLength=\"%g\"%s>%s</text>\n",
					float64(r.column)*cellWidth, float64(y)*cellHeight+13, n*cellWidth, class, escape(r.text))
			}
		}
		out.WriteString("</g>\n")
	}
	out.WriteString("</g>\n</svg>\n")
	return out.Bytes()
}

func escape(s string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(s))
	return out.String()
}
