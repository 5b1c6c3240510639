package demo

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/docker/go-units"

	"example.com/go-docker/day2-cgroups/cgroup"
	"example.com/go-docker/day2-cgroups/container"
)

// A result is what the demo measured; --format json prints it.
type result struct {
	CgroupVersion int    `json:"cgroup_version"`
	CgroupPath    string `json:"cgroup_path"`
	LimitBytes    int64  `json:"limit_bytes"`
	SwapLimit     int64  `json:"swap_limit_bytes"` // on top of the memory; -1: unlimited
	AskedBytes    int64  `json:"asked_bytes"`
	PeakBytes     int64  `json:"peak_bytes"`
	SwapPeak      int64  `json:"swap_peak_bytes"` // the highest sample
	LimitHits     int64  `json:"limit_hits"`      // 0 where the kernel does not count them
	OOMKills      int64  `json:"oom_kills"`
	ExitStatus    int    `json:"exit_status"`

	samples []sample
}

// files names the file that each figure comes from, so that readers can look
// for themselves.
var files = map[int]map[string]string{
	1: {
		"limit": "memory.limit_in_bytes", "swap": "memory.memsw.limit_in_bytes", "peak": "memory.max_usage_in_bytes",
		"swapped": "memory.stat, total_swap", "hits": "memory.failcnt + memory.memsw.failcnt", "kills": "memory.oom_control",
	},
	2: {
		"limit": "memory.max", "swap": "memory.swap.max", "peak": "memory.peak",
		"swapped": "memory.swap.current", "hits": "memory.events, max", "kills": "memory.events, oom_kill",
	},
}

// print reports what happened.
func (r *result) print(w io.Writer) error {
	file := files[r.CgroupVersion]
	swap := "unlimited"
	if r.SwapLimit != cgroup.Unlimited {
		swap = units.BytesSize(float64(r.SwapLimit))
	}
	status := fmt.Sprint(r.ExitStatus)
	if r.ExitStatus == 128+9 {
		status += " = 128 + 9, SIGKILL"
	}
	fmt.Fprintf(w, "\ncgroup v%d, %s\n", r.CgroupVersion, r.CgroupPath)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "  limit\t%s\t%s\n", units.BytesSize(float64(r.LimitBytes)), file["limit"])
	fmt.Fprintf(table, "  swap on top\t%s\t%s\n", swap, file["swap"])
	fmt.Fprintf(table, "  asked for\t%s\ttwice the limit\n", units.BytesSize(float64(r.AskedBytes)))
	fmt.Fprintf(table, "  peak\t%s\t%s\n", units.BytesSize(float64(r.PeakBytes)), file["peak"])
	if r.SwapPeak > 0 {
		fmt.Fprintf(table, "  peak of swap\t%s\t%s\n", units.BytesSize(float64(r.SwapPeak)), file["swapped"])
	}
	fmt.Fprintf(table, "  times at the limit\t%s\t%s\n", r.hits(), file["hits"])
	fmt.Fprintf(table, "  OOM kills\t%d\t%s\n", r.OOMKills, file["kills"])
	fmt.Fprintf(table, "  exit status\t%s\twait4(2)\n", status)
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.sentence())
	return err
}

// hits is unknown where memory.memsw.failcnt does not move: Linux 6.15 and
// later count only hits of memory.limit_in_bytes, but without swap it is the
// memsw limit that is hit.
func (r *result) hits() string {
	if r.LimitHits == 0 && r.OOMKills > 0 {
		return "not counted"
	}
	return fmt.Sprint(r.LimitHits)
}

func (r *result) sentence() string {
	limit := units.BytesSize(float64(r.LimitBytes))
	switch {
	case r.OOMKills > 0:
		return "The kernel killed the hog: it had " + limit + " and touched one page more."
	case r.SwapPeak > 0:
		return "The hog got all it asked for, but never more than " + limit + " of it in memory: the rest was swapped out."
	default:
		return "The limit did not hold."
	}
}

// verdict returns an error if the kernel did not enforce the limit.
func (r *result) verdict() error {
	if r.OOMKills == 0 && r.SwapPeak == 0 {
		return container.StatusError{Status: 1, Err: fmt.Errorf("the hog was not stopped at %d bytes: %d OOM kills, exit status %d", r.LimitBytes, r.OOMKills, r.ExitStatus)}
	}
	return nil
}
