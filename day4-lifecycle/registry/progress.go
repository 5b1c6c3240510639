package registry

import (
	"fmt"
	"io"
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

// progress says which layers of a pull are done, a line for each. On a terminal
// there is a bar below for each that is on its way, redrawn in place.
type progress struct {
	out      io.Writer
	terminal *os.File // nil: no bars
	stop     chan struct{}
	stopped  chan struct{}

	mu     sync.Mutex // of all below
	active []*bar
	drawn  int // bars on the screen
}

// A bar is one layer on its way.
type bar struct {
	progress *progress
	name     string
	now, all int64 // bytes
}

const redraw = 100 * time.Millisecond

func NewProgress(out *os.File, quiet bool) *progress {
	p := &progress{out: out, stop: make(chan struct{}), stopped: make(chan struct{})}
	switch {
	case quiet:
		p.out = io.Discard
	case term.IsTerminal(out.Fd()):
		p.terminal = out
	}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.stopped)
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.mu.Lock()
			p.erase()
			p.draw()
			p.mu.Unlock()
		case <-p.stop:
			p.erase()
			return
		}
	}
}

// Close leaves only the lines of the layers that are done.
func (p *progress) Close() {
	close(p.stop)
	<-p.stopped
}

func (p *progress) start(digest v1.Hash, size int64) *bar {
	b := &bar{progress: p, name: image.ShortID(digest.String()), all: size}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = append(p.active, b)
	return b
}

// Write counts: a bar is fed by an io.TeeReader.
func (b *bar) Write(data []byte) (int, error) {
	b.progress.mu.Lock()
	defer b.progress.mu.Unlock()
	b.now += int64(len(data))
	return len(data), nil
}

func (b *bar) done(how string) {
	p := b.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = slices.DeleteFunc(p.active, func(other *bar) bool { return other == b })
	p.erase()
	fmt.Fprintf(p.out, "%s: %s (%s)\n", b.name, how, units.HumanSize(float64(b.all)))
	p.draw()
}

func (p *progress) erase() {
	if p.drawn > 0 {
		fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", p.drawn) // back up and clear
	}
	p.drawn = 0
}

func (p *progress) draw() {
	if p.terminal == nil {
		return
	}
	columns := 80
	if size, err := term.GetWinsize(p.terminal.Fd()); err == nil && size.Width > 0 {
		columns = int(size.Width)
	}
	for _, b := range p.active {
		fmt.Fprintf(p.out, "%.*s\n", columns-1, b) // a line that wraps would count as two
	}
	p.drawn = len(p.active)
}

func (b *bar) String() string {
	const width = 30
	done := int(b.now * width / max(b.all, 1))
	return fmt.Sprintf("%s: [%-*s] %s/%s", b.name, width, strings.Repeat("=", done),
		units.HumanSize(float64(b.now)), units.HumanSize(float64(b.all)))
}
