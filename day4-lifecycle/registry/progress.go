package registry

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/go-docker/day4-lifecycle/image"
	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/term"
)

// progress prints a line for each layer that is done. On a terminal there is
// one more below, redrawn in place, about those that are on their way.
type progress struct {
	out      *os.File // nil: say nothing
	terminal bool

	mu     sync.Mutex // of all below
	active []*layerProgress
	drawn  time.Time
}

type layerProgress struct {
	progress *progress
	name     string
	now, all int64 // bytes
}

const (
	redraw    = 100 * time.Millisecond
	eraseLine = "\r\x1b[K"
)

func newProgress(out *os.File) *progress {
	return &progress{out: out, terminal: out != nil && term.IsTerminal(out.Fd())}
}

func (p *progress) start(blob v1.Descriptor) *layerProgress {
	l := &layerProgress{progress: p, name: image.ShortID(blob.Digest.String()), all: blob.Size}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = append(p.active, l)
	return l
}

// restart is for a download that begins again.
func (l *layerProgress) restart() {
	l.progress.mu.Lock()
	defer l.progress.mu.Unlock()
	l.now = 0
}

// Write counts what an io.TeeReader feeds it.
func (l *layerProgress) Write(data []byte) (int, error) {
	p := l.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	l.now += int64(len(data))
	if p.terminal && time.Since(p.drawn) > redraw {
		p.draw()
	}
	return len(data), nil
}

func (p *progress) draw() {
	p.drawn = time.Now()
	var parts []string
	for _, l := range p.active {
		parts = append(parts, fmt.Sprintf("%s: %s/%s", l.name, units.HumanSize(float64(l.now)), units.HumanSize(float64(l.all))))
	}
	columns := 80
	if size, err := term.GetWinsize(p.out.Fd()); err == nil && size.Width > 0 {
		columns = int(size.Width)
	}
	fmt.Fprintf(p.out, "%s%.*s", eraseLine, columns-1, strings.Join(parts, "  ")) // a longer line would wrap
}

func (l *layerProgress) done(how string) {
	p := l.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = slices.DeleteFunc(p.active, func(other *layerProgress) bool { return other == l })
	p.erase()
	if p.out != nil {
		fmt.Fprintf(p.out, "%s: %s (%s)\n", l.name, how, units.HumanSize(float64(l.all)))
	}
}

// erase leaves only the lines of the layers that are done.
func (p *progress) erase() {
	if p.terminal {
		fmt.Fprint(p.out, eraseLine)
	}
}
