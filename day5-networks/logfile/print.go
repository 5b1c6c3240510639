package logfile

import (
	"fmt"
	"io"
	"time"
)

// A Printer writes entries to the streams that they came from, byte for byte.
type Printer struct {
	Stdout, Stderr io.Writer
	Timestamps     bool

	inOut, inErr bool // the stream's last entry was a piece of a line
}

// Print writes an entry or, for a gap, a line on Stderr. A line in several
// pieces gets one time, that of the first.
func (p *Printer) Print(e *Entry) error {
	if e.Lost > 0 {
		_, err := fmt.Fprintf(p.Stderr, "log: %d lost here: %s\n", e.Lost, e.Why)
		return err
	}
	to, inLine := p.Stdout, &p.inOut
	if e.Stream == "stderr" {
		to, inLine = p.Stderr, &p.inErr
	}
	text := e.Log
	if p.Timestamps && !*inLine {
		text = e.Time.Format(time.RFC3339Nano) + " " + text
	}
	*inLine = !e.endsLine()
	_, err := io.WriteString(to, text)
	return err
}
