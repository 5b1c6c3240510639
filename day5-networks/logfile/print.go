package logfile

import (
	"fmt"
	"io"
	"time"
)

// A Printer writes entries where they came from, byte for byte.
type Printer struct {
	Stdout, Stderr io.Writer
	Timestamps     bool

	inLine map[string]bool // streams of which the last entry was a piece of a line
}

// Print writes an entry, or for a gap a line on Stderr. The pieces of a long
// line get one time, that of the first.
func (p *Printer) Print(e *Entry) error {
	if e.Lost > 0 {
		_, err := fmt.Fprintf(p.Stderr, "log: %d lost here: %s\n", e.Lost, e.Why)
		return err
	}
	if p.inLine == nil {
		p.inLine = map[string]bool{}
	}
	to := p.Stdout
	if e.Stream == "stderr" {
		to = p.Stderr
	}
	text := e.Log
	if p.Timestamps && !p.inLine[e.Stream] {
		text = e.Time.Format(time.RFC3339Nano) + " " + text
	}
	p.inLine[e.Stream] = !e.endsLine()
	_, err := io.WriteString(to, text)
	return err
}
