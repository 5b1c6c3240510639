package registry

import (
	"fmt"
	"os"
	"sync"
	"time"

	"example.com/go-docker/day5-networks/image"
	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/term"
)

// progress prints a line for each layer that is done and, on a terminal, one
// more that counts the bytes that have come.
type progress struct {
	out      *os.File // nil: say nothing
	terminal bool

	mu    sync.Mutex // of all below
	bytes int64
	drawn time.Time
}

func newProgress(out *os.File) *progress {
	return &progress{out: out, terminal: out != nil && term.IsTerminal(out.Fd())}
}

const eraseLine = "\r\x1b[K"

// Write counts what an io.TeeReader feeds it.
func (p *progress) Write(data []byte) (int, error) {
	const redraw = 100 * time.Millisecond
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += int64(len(data))
	if p.terminal && time.Since(p.drawn) > redraw {
		p.drawn = time.Now()
		fmt.Fprintf(p.out, "%s%s", eraseLine, units.HumanSize(float64(p.bytes)))
	}
	return len(data), nil
}

func (p *progress) done(blob v1.Descriptor, how string) {
	p.erase()
	if p.out != nil {
		fmt.Fprintf(p.out, "%s: %s (%s)\n", image.ShortID(blob.Digest.String()), how, units.HumanSize(float64(blob.Size)))
	}
}

// erase leaves only the lines of the layers that are done.
func (p *progress) erase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprint(p.out, eraseLine)
	}
}
