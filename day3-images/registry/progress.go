package registry

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"example.com/go-docker/day3-images/image"
	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/term"
)

// progress prints a line for each finished layer and, on a terminal, one more
// that counts the bytes received.
type progress struct {
	mu    sync.Mutex // protects everything here
	out   io.Writer
	erase string // on a terminal, erases the line that counts
	bytes int64
	drawn time.Time
}

// newProgress shows nothing if out is nil.
func newProgress(out *os.File) *progress {
	switch {
	case out == nil:
		return &progress{out: io.Discard}
	case term.IsTerminal(out.Fd()):
		return &progress{out: out, erase: "\r\x1b[K"}
	}
	return &progress{out: out}
}

// Write counts the bytes from an io.TeeReader.
func (p *progress) Write(data []byte) (int, error) {
	const redraw = 100 * time.Millisecond
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += int64(len(data))
	if p.erase != "" && time.Since(p.drawn) > redraw {
		p.drawn = time.Now()
		fmt.Fprint(p.out, p.erase+units.HumanSize(float64(p.bytes)))
	}
	return len(data), nil
}

func (p *progress) done(blob v1.Descriptor, how string) {
	p.print(fmt.Sprintf("%s: %s (%s)\n", image.ShortID(blob.Digest.String()), how, units.HumanSize(float64(blob.Size))))
}

// print leaves only the lines of finished layers, and this one.
func (p *progress) print(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprint(p.out, p.erase+line)
}
