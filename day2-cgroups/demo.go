package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

const (
	demoLimit  = 100 << 20             // bytes the container gets; the hog wants twice as much
	hogPause   = 40 * time.Millisecond // after each 4 MiB: slow enough to watch
	hogHold    = 300 * time.Millisecond
	sampleTime = 20 * time.Millisecond
)

func demoFlags() []cli.Flag {
	return append(memoryFlags(),
		&cli.BoolFlag{Name: "stress", Usage: "use the real stress(1) instead of the built-in hog"},
		&cli.StringFlag{Name: "format", Value: "text", Usage: "`text` or json"},
		&cli.StringFlag{Name: "plot", Usage: "save memory over time as an SVG `FILE`"},
	)
}

// A result is what the demo found out; --format json prints it.
type result struct {
	CgroupVersion int    `json:"cgroup_version"`
	CgroupPath    string `json:"cgroup_path"`
	LimitBytes    int64  `json:"limit_bytes"`
	SwapLimit     int64  `json:"swap_limit_bytes"` // on top of the memory; -1: unlimited
	AskedBytes    int64  `json:"asked_bytes"`
	PeakBytes     int64  `json:"peak_bytes"`
	SwapPeak      int64  `json:"swap_peak_bytes"` // the highest of the samples
	LimitHits     int64  `json:"limit_hits"`      // 0 where the kernel does not count them
	OOMKills      int64  `json:"oom_kills"`
	ExitStatus    int    `json:"exit_status"`

	samples []sample
}

// A sample is the container's memory at one moment.
type sample struct {
	at           time.Duration // since the start
	memory, swap int64         // bytes
}

// demo lets a hog that wants 200 MiB meet a limit of 100 MiB and reads from the
// kernel's counters how that ended.
func demo(ctx *cli.Context) error {
	format, plot := ctx.String("format"), ctx.String("plot")
	if format != "text" && format != "json" {
		return fmt.Errorf("invalid --format %q: want text or json", format)
	}
	if err := checkPlot(plot); err != nil {
		return fmt.Errorf("invalid --plot: %w", err)
	}
	c, err := demoContainer(ctx)
	if err != nil {
		return err
	}
	show := quietView
	if format == "text" {
		show = newView(os.Stdout, c.Limits.Memory)
	}
	r, err := runDemo(c, show)
	if err != nil {
		return err
	}
	if r.ExitStatus == 128+int(unix.SIGINT) || r.ExitStatus == 128+int(unix.SIGTERM) {
		return statusError{status: r.ExitStatus} // somebody has stopped the hog, not the kernel
	}
	if plot != "" {
		if err := os.WriteFile(plot, drawPlot(r), 0o644); err != nil {
			return fmt.Errorf("save the plot: %w", err)
		}
	}
	if format == "json" {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	} else if err := r.print(os.Stdout); err != nil {
		return err
	}
	return r.verdict()
}

func demoContainer(ctx *cli.Context) (*Container, error) {
	id, err := newID()
	if err != nil {
		return nil, err
	}
	c := &Container{ID: id, Hostname: id, Init: true, Namespaces: allNamespaces(), Stdout: os.Stderr}
	if c.Limits, err = limitsFromFlags(ctx); err != nil {
		return nil, err
	}
	if c.Limits.Memory == 0 {
		c.Limits.Memory = demoLimit
	}
	var machine unix.Sysinfo_t
	if err := unix.Sysinfo(&machine); err != nil {
		return nil, fmt.Errorf("find out how much memory there is: %w", err)
	}
	if has := int64(machine.Totalram) * int64(machine.Unit); c.Limits.Memory > has { // the hog would eat it all
		return nil, fmt.Errorf("invalid --memory: this machine has %s in all", units.BytesSize(float64(has)))
	}
	asked := fmt.Sprint(2 * c.Limits.Memory)
	c.Args = []string{"/proc/self/exe", "hog", "--pause", hogPause.String(), "--hold", hogHold.String(), asked}
	if ctx.Bool("stress") {
		if _, err := exec.LookPath("stress"); err != nil {
			return nil, statusError{exitNotFound, errors.New("--stress: stress is not installed: apt-get install stress, or dnf install stress")}
		}
		c.Args = []string{"stress", "--vm", "1", "--vm-bytes", asked, "--vm-keep", "--timeout", "5s"}
		c.Env = []string{"PATH=" + os.Getenv("PATH")}
	}
	return c, nil
}

// runDemo runs the container and samples its memory meanwhile.
func runDemo(c *Container, show view) (*result, error) {
	r := &result{LimitBytes: c.Limits.Memory, SwapLimit: c.Limits.Swap, AskedBytes: 2 * c.Limits.Memory}
	p, err := start(c)
	if err != nil {
		return nil, err
	}
	r.CgroupVersion = p.cgroup.record.Version
	r.CgroupPath = p.cgroup.record.Dirs["memory"]
	sampled := make(chan error, 1)
	stop := make(chan struct{})
	go func() { sampled <- r.sample(p.cgroup, show, stop) }()
	r.ExitStatus, err = p.wait()
	close(stop)
	err = errors.Join(err, <-sampled)
	usage, errUsage := p.cgroup.record.usage() // its cgroup is there until close
	if err = errors.Join(err, errUsage, p.close()); err != nil {
		return nil, err
	}
	r.PeakBytes = usage.MemoryPeak
	r.LimitHits = usage.LimitHits
	r.OOMKills = usage.OOMKills
	for _, s := range r.samples {
		r.SwapPeak = max(r.SwapPeak, s.swap)
		if usage.MemoryPeak == 0 { // memory.peak is missing before Linux 5.19
			r.PeakBytes = max(r.PeakBytes, s.memory)
		}
	}
	return r, nil
}

func (r *result) sample(g *cgroup, show view, stop chan struct{}) error {
	started := time.Now()
	ticker := time.NewTicker(sampleTime)
	defer ticker.Stop()
	for {
		usage, err := g.record.usage()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the container has ended
		}
		if err != nil {
			return fmt.Errorf("sample the container's memory: %w", err)
		}
		r.samples = append(r.samples, sample{time.Since(started), usage.Memory, usage.Swap})
		show(r.samples)
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
	}
}

// files names where each figure comes from, for the reader to look at.
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

// print says what happened.
func (r *result) print(w io.Writer) error {
	file := files[r.CgroupVersion]
	swap := "unlimited"
	if r.SwapLimit != unlimited {
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

// hits is not known where memory.memsw.failcnt stands still: Linux 6.15 and
// later count for memory.limit_in_bytes alone, and with swap closed it is memsw
// that is met.
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

// verdict is an error when the kernel did not enforce the limit.
func (r *result) verdict() error {
	if r.OOMKills == 0 && r.SwapPeak == 0 {
		return statusError{1, fmt.Errorf("the hog was not stopped at %d bytes: %d OOM kills, exit status %d", r.LimitBytes, r.OOMKills, r.ExitStatus)}
	}
	return nil
}
