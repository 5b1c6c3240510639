package network

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

// The first container of a network also makes the bridge, and the last removes it.
func BenchmarkConnect(b *testing.B) {
	logrus.SetOutput(io.Discard)
	for _, others := range []int{0, 1} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			w := newWorld(b)
			for i := range others {
				w.box(fmt.Sprint("other", i)).on(Attachment{Network: DefaultName})
			}
			var in, out time.Duration
			x := w.box("x")
			for b.Loop() {
				start := time.Now()
				x.on(Attachment{Network: DefaultName}, both(8080, 80)...)
				connected := time.Now()
				if err := w.networks.Disconnect(x.Owner); err != nil {
					b.Fatal(err)
				}
				in, out = in+connected.Sub(start), out+time.Since(connected)
			}
			b.ReportMetric(float64(in.Microseconds())/float64(b.N), "µs-connect")
			b.ReportMetric(float64(out.Microseconds())/float64(b.N), "µs-disconnect")
		})
	}
}
