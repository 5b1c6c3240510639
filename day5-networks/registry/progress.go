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

// progress prints a line for each finished layer and, on a terminal, one more
// that counts the bytes received.
type progress struct {
	out      *os.File // nil: print nothing
	terminal bool

	mu    sync.Mutex // protects all fields below
	bytes int64
	drawn time.Time
}

func newProgress(out *os.File) *progress {
	return &progress{out: out, terminal: out != nil && term.IsTerminal(out.Fd())}
}

const eraseLine = "\r\x1b[K"

// Write counts the bytes from an io.TeeReader.
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

// erase leaves only the lines of finished layers.
func (p *progress) erase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprint(p.out, eraseLine)
	}
}
