package network

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

// BenchmarkConnect takes turns: a container connected and disconnected by us, by
// CNI's plugins bridge, host-local and portmap, and, if GO_DOCKER_START has a
// command that starts one without a network, that. There is another container on
// both networks: the first one also makes the bridge, and the last removes it.
// The medians are what is reported.
func BenchmarkConnect(b *testing.B) {
	logrus.SetOutput(io.Discard)
	defer logrus.SetOutput(os.Stderr)
	w := newWorld(b)
	n := cniNetwork{w, "one", []string{"10.88.0.0/16"}}
	first := w.box("other")
	first.on(Attachment{Network: DefaultName})
	other := w.box("cni-other")
	if _, err := n.add(other, false); err != nil {
		b.Fatal(err)
	}
	took := map[string][]time.Duration{}
	timed := func(what string, f func() error) {
		b.Helper()
		time.Sleep(50 * time.Millisecond) // the kernel is still busy with the one before
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		took[what] = append(took[what], time.Since(start))
	}
	x, y, z := w.box("x"), w.box("y"), w.box("z")
	start := strings.Fields(os.Getenv("GO_DOCKER_START"))
	for b.Loop() {
		for _, c := range []*box{x, z} {
			kind, published := "tcp", both(8081, 80)[:1]
			if c == z {
				kind, published = "udp", both(8082, 80) // which has old flows
			}
			timed("connect-"+kind, func() error {
				_, err := w.networks.Connect(c.File, c.Owner, []Attachment{{Network: DefaultName}}, published)
				return err
			})
			timed("disconnect-"+kind, func() error { return w.networks.Disconnect(c.Owner) })
		}
		timed("cni-add", func() error { _, err := n.add(y, true); return err })
		timed("cni-del", func() error { return n.del(y, true) })
		if len(start) > 0 {
			timed("start", exec.Command(start[0], start[1:]...).Run)
		}
	}
	for what, all := range took {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms-"+what)
	}
	if err := errors.Join(n.del(other, false), w.networks.Disconnect(first.Owner)); err != nil {
		b.Error(err)
	}
	w.clearCNI()
}

// The first container of a network also makes the bridge and turns forwarding
// on, and the last undoes that.
func BenchmarkAlone(b *testing.B) {
	logrus.SetOutput(io.Discard)
	defer logrus.SetOutput(os.Stderr)
	w := newWorld(b)
	x := w.box("x")
	for b.Loop() {
		x.on(Attachment{Network: DefaultName}, both(8080, 80)[:1]...)
		if err := w.networks.Disconnect(x.Owner); err != nil {
			b.Fatal(err)
		}
	}
}
