// Package demo shows what the chapter has built: a hog that wants twice the
// memory it may have runs into its limit, and the kernel's own counters show
// what happened.
package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"example.com/go-docker/day2-cgroups/cgroup"
	"example.com/go-docker/day2-cgroups/container"
	"example.com/go-docker/day2-cgroups/namespace"
)

const (
	defaultLimit = 100 << 20             // bytes the container gets; the hog wants twice as much
	hogPause     = 40 * time.Millisecond // after each 4 MiB: slow enough to watch
	hogHold      = 300 * time.Millisecond
	sampleTime   = 20 * time.Millisecond
)

// Options are the demo's flags.
type Options struct {
	Limits cgroup.Limits // Memory 0: 100 MiB
	Stress bool          // stress(1) instead of the built-in hog
	Format string        // text or json
}

// A sample is the container's memory at one moment.
type sample struct {
	at           time.Duration // since the start
	memory, swap int64         // bytes
}

// Run runs the demo and prints how it ended. It returns an error if the kernel
// did not enforce the limit.
func Run(o Options) error {
	if o.Format != "text" && o.Format != "json" {
		return fmt.Errorf("invalid --format %q: want text or json", o.Format)
	}
	if err := checkMemory(&o.Limits); err != nil {
		return fmt.Errorf("invalid --memory: %w", err)
	}
	show := quietView
	if o.Format == "text" {
		show = newView(os.Stdout, o.Limits.Memory)
	}
	r, err := watch(o, show)
	if err != nil {
		return err
	}
	if r.ExitStatus == 128+int(unix.SIGINT) || r.ExitStatus == 128+int(unix.SIGTERM) {
		return container.StatusError{Status: r.ExitStatus} // it was not the kernel that stopped the hog
	}
	if o.Format == "json" {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	} else if err := r.print(os.Stdout); err != nil {
		return err
	}
	return r.verdict()
}

// checkMemory refuses an unlimited hog: it would eat up the machine's memory.
func checkMemory(l *cgroup.Limits) error {
	if l.Memory == 0 {
		l.Memory = defaultLimit
	}
	var machine unix.Sysinfo_t
	if err := unix.Sysinfo(&machine); err != nil {
		return fmt.Errorf("find out how much memory there is: %w", err)
	}
	if has := int64(machine.Totalram) * int64(machine.Unit); l.Memory > has {
		return fmt.Errorf("this machine has %s in all", units.BytesSize(float64(has)))
	}
	return nil
}

func hogContainer(asked int64, stress bool) *container.Container {
	id := container.NewID()
	c := &container.Container{ID: id, Hostname: id, Init: true, Namespaces: namespace.All()}
	size := fmt.Sprint(asked)
	c.Args = []string{"/proc/self/exe", "hog", "--pause", hogPause.String(), "--hold", hogHold.String(), size}
	if stress {
		c.Args = []string{"stress", "--vm", "1", "--vm-bytes", size, "--vm-keep", "--timeout", "5s"}
		c.Env = []string{"PATH=" + os.Getenv("PATH")}
	}
	return c
}

// watch runs the container and samples its memory while it runs.
func watch(o Options, show view) (_ *result, err error) {
	r := &result{LimitBytes: o.Limits.Memory, SwapLimit: o.Limits.Swap, AskedBytes: 2 * o.Limits.Memory}
	c := hogContainer(r.AskedBytes, o.Stress)
	parent := container.Parent{Signals: container.CatchSignals(), Stdout: os.Stderr}
	parent.Cgroup, err = cgroup.Create(cgroup.Config{ID: c.ID, Limits: o.Limits, Init: true})
	if err != nil {
		return nil, err
	}
	g := parent.Cgroup
	defer func() { err = errors.Join(err, g.Remove()) }()
	r.CgroupVersion, r.CgroupPath = g.Version, g.Dirs["memory"]
	p, err := container.Create(c, parent)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.Start(); err != nil {
		return nil, err
	}
	started := time.Now()
	sampled, stop := make(chan error, 1), make(chan struct{})
	go func() { sampled <- r.sample(g, started, show, stop) }()
	r.ExitStatus, err = p.Wait()
	ended := time.Since(started)
	close(stop)
	if err := errors.Join(err, <-sampled); err != nil {
		return nil, err
	}
	return r, r.count(g, ended, show)
}

// sample reads the container's memory again and again until it is killed.
func (r *result) sample(g *cgroup.Cgroup, started time.Time, show view, stop chan struct{}) error {
	ticker := time.NewTicker(sampleTime)
	defer ticker.Stop()
	for {
		used, err := g.Usage()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the container has ended
		}
		if err != nil {
			return fmt.Errorf("sample the container's memory: %w", err)
		}
		if used.OOMKills == 0 {
			r.samples = append(r.samples, sample{time.Since(started), used.Memory, used.Swap})
			show(r.samples, false)
		}
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
	}
}

// count reads the kernel's totals. The cgroup still exists at this point.
func (r *result) count(g *cgroup.Cgroup, ended time.Duration, show view) error {
	used, err := g.Usage()
	if err != nil {
		return err
	}
	r.PeakBytes, r.LimitHits, r.OOMKills = used.MemoryPeak, used.LimitHits, used.OOMKills
	for _, s := range r.samples {
		r.SwapPeak = max(r.SwapPeak, s.swap)
		if used.MemoryPeak == 0 { // memory.peak is missing before Linux 5.19
			r.PeakBytes = max(r.PeakBytes, s.memory)
		}
	}
	if r.OOMKills > 0 { // the last sample missed the peak, just before the end
		r.samples = append(r.samples, sample{at: ended, memory: r.PeakBytes})
		show(r.samples, true)
	}
	return nil
}
