// Package stats is the command stats: what containers use. It reads counters
// twice, because the kernel counts CPU time and knows no percentages.
//
// It grew from day 2's rung 06-measure, and shows every running container, as a
// table or as JSON.
package stats

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/term"
	urfave "github.com/urfave/cli/v2"

	"example.com/go-docker/day5-networks/cgroup"
	"example.com/go-docker/day5-networks/commands/named"
	"example.com/go-docker/day5-networks/lifecycle"
	"example.com/go-docker/day5-networks/usage"
)

// Command is the command stats.
var Command = &urfave.Command{
	Name:      "stats",
	Usage:     "show what running containers use",
	ArgsUsage: "[CONTAINER...]",
	Flags: []urfave.Flag{
		&urfave.BoolFlag{Name: "no-stream", Usage: "show one reading and exit (always so off a terminal)"},
		&urfave.StringFlag{Name: "format", Value: "table", Usage: "`table` or json, one object a line"},
	},
	Action: func(ctx *urfave.Context) error {
		format := ctx.String("format")
		show, ok := map[string]func(io.Writer, []stat) error{"table": printStats, "json": printStatsJSON}[format]
		if !ok {
			return fmt.Errorf("invalid --format %q: want table or json", format)
		}
		stream := !ctx.Bool("no-stream") && format == "table" && term.IsTerminal(os.Stdout.Fd())
		ids := ctx.Args().Slice()
		for i, ref := range ids {
			c, err := named.Find(ctx, ref)
			if err != nil {
				return err
			}
			if !c.State.Live() {
				return fmt.Errorf("container %s: %w", c.ID, lifecycle.ErrNotRunning)
			}
			ids[i] = c.ID
		}
		return stats(os.Stdout, ids, show, stream)
	},
}

// A stat is one container's line of output.
type stat struct {
	ID          string  `json:"id"`
	CPU         float64 `json:"cpu_percent"` // of one CPU
	MemoryBytes int64   `json:"memory_bytes"`
	LimitBytes  int64   `json:"memory_limit_bytes"` // 0: none
	Pids        int64   `json:"pids"`
}

// statsInterval is how long CPU time is measured for one line.
const statsInterval = time.Second

func stats(w io.Writer, ids []string, show func(io.Writer, []stat) error, stream bool) error {
	before, err := readAll(ids)
	if err != nil {
		return err
	}
	for {
		time.Sleep(statsInterval)
		after, err := readAll(ids)
		if err != nil {
			return err
		}
		if stream {
			fmt.Fprint(w, "\x1b[H\x1b[J") // cursor home and clear, as in docker stats
		}
		if err := show(w, compare(before, after)); err != nil || !stream {
			return err
		}
		before = after
	}
}

// A reading is one container's counters at one point in time.
type reading struct {
	id    string
	at    time.Time
	usage usage.Usage
}

func readAll(ids []string) ([]reading, error) {
	running, err := cgroup.Running(ids)
	if err != nil {
		return nil, err
	}
	var readings []reading
	for _, r := range running {
		counted, err := r.Usage()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return nil, err
		}
		readings = append(readings, reading{r.ID, time.Now(), counted})
	}
	return readings, nil
}

func compare(before, after []reading) []stat {
	var stats []stat
	for _, now := range after {
		s := stat{ID: now.id, MemoryBytes: max(0, now.usage.Memory-now.usage.Cache), Pids: now.usage.Pids}
		if now.usage.MemoryLimit != math.MaxInt64 {
			s.LimitBytes = now.usage.MemoryLimit
		}
		for _, then := range before {
			if then.id == now.id {
				used := float64(now.usage.CPU - then.usage.CPU)
				s.CPU = 100 * used / float64(now.at.Sub(then.at).Microseconds())
			}
		}
		stats = append(stats, s)
	}
	return stats
}

func printStats(w io.Writer, stats []stat) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CONTAINER ID\tCPU %\tMEM USAGE / LIMIT\tMEM %\tPIDS")
	for _, s := range stats {
		limit, percent := "none", "-"
		if s.LimitBytes > 0 {
			limit = units.BytesSize(float64(s.LimitBytes))
			percent = fmt.Sprintf("%.2f%%", 100*float64(s.MemoryBytes)/float64(s.LimitBytes))
		}
		fmt.Fprintf(table, "%s\t%.2f%%\t%s / %s\t%s\t%d\n",
			s.ID, s.CPU, units.BytesSize(float64(s.MemoryBytes)), limit, percent, s.Pids)
	}
	return table.Flush()
}

func printStatsJSON(w io.Writer, stats []stat) error {
	for _, s := range stats {
		if err := json.NewEncoder(w).Encode(s); err != nil {
			return err
		}
	}
	return nil
}
