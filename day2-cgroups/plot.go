package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

// checkPlot finds out before the demo starts whether its plot can be saved.
func checkPlot(file string) error {
	if file == "" {
		return nil
	}
	if info, err := os.Stat(file); err == nil {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", file)
		}
		if err := unix.Access(file, unix.W_OK); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
		return nil
	}
	// Only trying tells: root may write in every directory, but not in /proc.
	probe, err := os.CreateTemp(filepath.Dir(file), "go-docker-plot")
	if err != nil {
		return fmt.Errorf("make a file in %s: %w", filepath.Dir(file), errors.Unwrap(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// drawPlot draws the container's memory over time, and the limit, as SVG. The
// colours follow the reader's light or dark mode.
func drawPlot(r *result) []byte {
	const width, height, left, right, top, bottom = 720, 360, 70, 20, 40, 45
	last := 0.0
	for _, s := range r.samples { // none, if the container ended at once
		last = s.at.Seconds()
	}
	highest := 1.2 * float64(r.LimitBytes)
	x := func(seconds float64) float64 { return left + seconds/max(last, 0.1)*(width-left-right) }
	y := func(size float64) float64 { return height - bottom - size/highest*(height-top-bottom) }

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" font-family="sans-serif" font-size="13">
<title>Memory of a container limited to %s: peak %s, %d OOM kills</title>
<style>
svg { background: #fff; color: #222 } text { fill: currentColor }
.grid { stroke: currentColor; stroke-opacity: .15 } .limit { stroke: #c0392b; stroke-dasharray: 6 4 } .limit-text { fill: #c0392b }
.memory { stroke: #1a7f5a; stroke-width: 2.5; fill: none }
@media (prefers-color-scheme: dark) {
svg { background: #16181d; color: #ddd } .limit { stroke: #ff7b6b } .limit-text { fill: #ff7b6b } .memory { stroke: #4fd1a1 } }
</style>
`, width, height, units.BytesSize(float64(r.LimitBytes)), units.BytesSize(float64(r.PeakBytes)), r.OOMKills)
	for i := range 7 {
		size := highest * float64(i) / 6
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, width-right, y(size), y(size), left-8, y(size)+4, units.BytesSize(size))
	}
	for i := range 6 {
		seconds := last * float64(i) / 5
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.1f s</text>`+"\n", x(seconds), height-bottom+22, seconds)
	}
	limit := y(float64(r.LimitBytes))
	fmt.Fprintf(&b, `<line class="limit" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="limit-text" x="%d" y="%.1f" text-anchor="end">limit</text>`+"\n",
		left, width-right, limit, limit, width-right, limit-6)
	b.WriteString(`<polyline class="memory" points="`)
	for _, s := range r.samples {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(s.at.Seconds()), y(float64(s.memory)))
	}
	fmt.Fprintf(&b, `"/>`+"\n"+`<text x="%d" y="22">memory of the container, cgroup v%d: exit status %d</text>`+"\n</svg>\n", left, r.CgroupVersion, r.ExitStatus)
	return b.Bytes()
}
