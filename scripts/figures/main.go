// Figures makes the tables and the picture of docs/*/figures.md from what the
// benchmarks measured. scripts/bench.sh runs both.
//
//	go run ./scripts/figures MEASURED.jsonl
//
// Each line of the file is a row: its section, its name, the seconds of each
// round, the kilobytes it held at most. A table stands in a page between
// <!-- figures: SECTION --> and <!-- /figures -->.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./scripts/figures MEASURED.jsonl, from the root of the repository")
		os.Exit(125)
	}
	if err := write(os.Args[1], "docs"); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

// A row is one command of a section, and what its rounds took.
type row struct {
	Section   string    `json:"section"`
	Name      string    `json:"row"`
	Seconds   []float64 `json:"seconds"`
	CPU       float64   `json:"cpu"` // seconds of processor time, in one of the rounds
	Kilobytes int64     `json:"kilobytes"`
	Megabytes []float64 `json:"megabytes"` // instead of seconds: of each of some processes
}

// values are what the row is about.
func (r row) values() []float64 {
	if len(r.Megabytes) > 0 {
		return r.Megabytes
	}
	return r.Seconds
}

// text is one of the values with its unit.
func (r row) text(value float64) string {
	if len(r.Megabytes) > 0 {
		return fmt.Sprintf("%.2f MB", value)
	}
	return duration(value)
}

func write(measured, docs string) error {
	file, err := os.Open(measured)
	if err != nil {
		return err
	}
	defer file.Close()
	sections, err := read(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", measured, err)
	}
	for _, w := range languages {
		page := filepath.Join(docs, w.dir, "figures.md")
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		filled, err := fill(string(text), sections, w)
		if err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
		if err := os.WriteFile(page, []byte(filled), 0o644); err != nil {
			return err
		}
		picture := filepath.Join(docs, "images", w.picture)
		if err := os.WriteFile(picture, []byte(draw(sections, w)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// read sorts the rows into sections. A row without values stands for a
// program that is not there, or does not run on this machine.
func read(r io.Reader) (map[string][]row, error) {
	sections := map[string][]row{}
	lines := json.NewDecoder(bufio.NewReader(r))
	for {
		var next row
		err := lines.Decode(&next)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(next.values()) > 0 {
			sections[next.Section] = append(sections[next.Section], next)
		}
	}
	if len(sections) == 0 {
		return nil, errors.New("there is no row in it")
	}
	return sections, nil
}

var marked = regexp.MustCompile(`(?s)(<!-- figures: ([^>]*) -->\n).*?(<!-- /figures -->)`)

// fill puts the tables into a page.
func fill(page string, sections map[string][]row, w words) (string, error) {
	var missing []error
	filled := marked.ReplaceAllStringFunc(page, func(old string) string {
		part := marked.FindStringSubmatch(old)
		rows := sections[part[2]]
		if rows == nil {
			missing = append(missing, fmt.Errorf("nothing was measured for the section %q", part[2]))
			return old
		}
		return part[1] + "\n" + table(rows, w) + "\n" + part[3]
	})
	return filled, errors.Join(missing...)
}

// peers are those that the others are compared with: the start of the name.
var peers = []string{"runc", "crun", "umoci", "tar", "podman", "skopeo to containers-storage", "nothing, in Go", "conmon", "containerd-shim", "a start", "CNI", "by hand", "ours, of two hundred the first"}

func table(rows []row, w words) string {
	var others []row
	for _, peer := range peers {
		for _, r := range rows {
			if strings.HasPrefix(r.Name, peer) && len(others) < 2 {
				others = append(others, r)
			}
		}
	}
	var text strings.Builder
	n, columns := w.rounds(len(rows[0].values())), " CPU | "+w.memory+" |"
	line := "\n|---|--:|--:|--:|--:|"
	memory := len(rows[0].Megabytes) > 0
	if memory {
		n, columns, line = w.processes(len(rows[0].Megabytes)), "", "\n|---|--:|--:|"
	}
	fmt.Fprintf(&text, "| %s | %s | p10–p90 |%s", n, w.median, columns)
	for _, other := range others {
		fmt.Fprintf(&text, " ÷ %s |", strings.SplitN(other.Name, ",", 2)[0])
		line += "--:|"
	}
	text.WriteString(line + "\n")
	for _, r := range rows {
		most, cpu := "", ""
		if r.CPU > 0 {
			cpu = duration(r.CPU)
		}
		if r.Kilobytes > 0 {
			most = fmt.Sprintf("%.1f", float64(r.Kilobytes)/1024)
		}
		name := r.Name
		if isOurs(r) {
			name = "**" + name + "**"
		}
		values := r.values()
		fmt.Fprintf(&text, "| %s | %s | %s–%s |", name, r.text(quantile(values, 0.5)), r.text(quantile(values, 0.1)), r.text(quantile(values, 0.9)))
		if !memory {
			fmt.Fprintf(&text, " %s | %s |", cpu, most)
		}
		for _, other := range others {
			if other.Name == r.Name {
				text.WriteString(" 1 |")
				continue
			}
			ratios := perRound(r, other)
			fmt.Fprintf(&text, " %.2f (%.2f–%.2f) |", quantile(ratios, 0.5), quantile(ratios, 0.1), quantile(ratios, 0.9))
		}
		text.WriteByte('\n')
	}
	return text.String()
}

func isOurs(r row) bool {
	return strings.HasPrefix(r.Name, "ours") || strings.HasPrefix(r.Name, "run") && !strings.HasPrefix(r.Name, "runc")
}

// perRound are the ratios within each round: whatever else the machine was doing
// then affected both.
func perRound(r, other row) (ratios []float64) {
	a, b := r.values(), other.values()
	for i := range min(len(a), len(b)) {
		ratios = append(ratios, a[i]/b[i])
	}
	return ratios
}

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(float64(len(sorted)-1)*q+0.5)]
}

// duration has three digits.
func duration(seconds float64) string {
	switch ms := seconds * 1000; {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.2f s", seconds)
	}
}
