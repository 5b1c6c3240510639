package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"
	"github.com/moby/term"
)

// A view shows the samples so far, and whether the last of them is the end.
type view func(samples []sample, end bool)

func quietView([]sample, bool) {}

// newView draws a growing chart on a terminal and prints plain lines anywhere
// else.
func newView(out *os.File, limit int64) view {
	if term.IsTerminal(out.Fd()) {
		return chartView(out, limit)
	}
	return lineView(out, limit)
}

const mebibyte = 1 << 20

func chartView(out *os.File, limit int64) view {
	const height = 12
	width := 60
	if size, err := term.GetWinsize(out.Fd()); err == nil && size.Width > 0 {
		width = max(20, min(width, int(size.Width)-16))
	}
	drawn := 0 // lines on the screen
	return func(samples []sample, _ bool) {
		var memory, line []float64
		for _, s := range samples {
			memory = append(memory, float64(s.memory)/mebibyte)
			line = append(line, float64(limit)/mebibyte)
		}
		chart := asciigraph.PlotMany([][]float64{line, memory},
			asciigraph.Height(height), asciigraph.Width(width), asciigraph.Precision(0),
			asciigraph.LowerBound(0), asciigraph.UpperBound(1.2*float64(limit)/mebibyte),
			asciigraph.SeriesColors(asciigraph.Red, asciigraph.Green),
			asciigraph.SeriesLegends("limit", "memory, MiB"))
		if drawn > 0 {
			fmt.Fprintf(out, "\x1b[%dA\x1b[J", drawn) // back up and clear
		}
		fmt.Fprintln(out, chart)
		drawn = strings.Count(chart, "\n") + 1
	}
}

func lineView(out io.Writer, limit int64) view {
	const every, width = 100 * time.Millisecond, 50
	next := time.Duration(0)
	return func(samples []sample, end bool) {
		s := samples[len(samples)-1]
		if s.at < next && !end {
			return
		}
		next = s.at + every
		bar := strings.Repeat("#", int(min(s.memory*width/limit, width)))
		fmt.Fprintf(out, "%5.1f s %6d MiB |%-*s|\n", s.at.Seconds(), s.memory/mebibyte, width, bar)
	}
}
