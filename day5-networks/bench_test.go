package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Benchmarks run us and our peers in turns, so that a busy machine slows all of
// them equally. What counts is the ratio. scripts/bench.sh makes the book's
// tables from them. The other benchmarks are with the code that they measure,
// in network.

// A benchRow is a row of a table, as scripts/figures reads it.
type benchRow struct {
	Section string    `json:"section"`
	Row     string    `json:"row"`
	Seconds []float64 `json:"seconds"` // of each round

	timed func() error
}

// turns runs the rows in turns, with pauses, because work left to the kernel by
// one would slow the next.
func turns(b *testing.B, pause time.Duration, rows []*benchRow) {
	b.Helper()
	for b.Loop() {
		for _, i := range rand.Perm(len(rows)) {
			time.Sleep(pause)
			began := time.Now()
			err := rows[i].timed()
			rows[i].Seconds = append(rows[i].Seconds, time.Since(began).Seconds())
			if err != nil {
				b.Fatalf("%s: %v", rows[i].Row, err)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	record(b, rows)
}

// record logs the rows, and adds them to the file that GO_DOCKER_BENCH names.
func record(b *testing.B, rows []*benchRow) {
	b.Helper()
	median := func(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }
	var text strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&text, "\n%-32s median %8.2f ms, least %8.2f, x the first %.2f", r.Row, 1000*median(r.Seconds), 1000*slices.Min(r.Seconds), median(r.Seconds)/median(rows[0].Seconds))
	}
	b.Log(text.String())
	path := os.Getenv("GO_DOCKER_BENCH")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for _, r := range rows {
		if err := json.NewEncoder(file).Encode(r); err != nil {
			b.Fatal(err)
		}
	}
}

// start returns a row that runs /bin/true in a container and removes it.
func (w *world) start(section, name string, options ...string) *benchRow {
	args := slices.Concat([]string{"run", "--rm"}, options, []string{"box", "/bin/true"})
	return &benchRow{Section: section, Row: name, timed: func() error {
		cmd := w.command(args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%q: %w: %s", cmd.Args, err, out)
		}
		return nil
	}}
}

// BenchmarkNetworkStart starts containers beside another one on the same network.
func BenchmarkNetworkStart(b *testing.B) {
	w := newWorld(b)
	newLAN(b)
	w.ok("network", "create", "shared")
	w.ok("run", "-d", "--network", "shared", "box", "/bin/sleep", "1000")
	const section = "network start"
	turns(b, 60*time.Millisecond, []*benchRow{
		w.start(section, "a start, --network none", "--network", "none"),
		w.start(section, "ours, --network shared", "--network", "shared"),
		w.start(section, "ours, and -p 8080:80", "--network", "shared", "-p", "8080:80"),
		w.start(section, "ours, and -p 5353:53/udp", "--network", "shared", "-p", "5353:53/udp"),
	})
}

// BenchmarkNetworkAlone starts the machine's only container with a network:
// bridge, rules, resolver and forwarding come and go with it.
func BenchmarkNetworkAlone(b *testing.B) {
	w := newWorld(b)
	newLAN(b)
	const section = "network start alone"
	turns(b, 60*time.Millisecond, []*benchRow{
		w.start(section, "a start, --network none", "--network", "none"),
		w.start(section, "ours"),
		w.start(section, "ours, -p 8080:80", "-p", "8080:80"),
	})
}
