// Package logfile is a container's log: what it has written, when, and on which
// stream. It grew from rung 05-logs and adds rotation, and a reader that
// follows across rotations, skips and reports damaged records, and finds the
// last lines without reading the rest. A full disk costs entries, but neither
// the container nor the log.
//
// The format is that of Docker's json-file driver, one JSON object on a line:
//
//	{"log":"hello\n","stream":"stdout","time":"2026-01-02T15:04:05.123456789Z"}
//
// The newest file has the log's name, older ones have .1, .2 and so on added.
package logfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Longest is how many bytes of a line, including its newline, fit in one entry.
// A longer line becomes several entries, as in Docker.
const Longest = 16 << 10

// longestRecord is the longest line that can be a record: every byte may be
// escaped, like \u0000, and the rest is short.
const longestRecord = 6*Longest + 1<<10

// An Entry is a line, a piece of a line or, if Lost is set, a gap.
type Entry struct {
	Log    string    `json:"log"`    // with its newline; without one, the line continues in the stream's next entry
	Stream string    `json:"stream"` // stdout or stderr
	Time   time.Time `json:"time"`   // UTC
	Lost   int       `json:"lost,omitempty"`
	Why    string    `json:"why,omitempty"` // why Lost entries are missing here
}

// endsLine reports whether the stream's next entry starts a new line.
func (e *Entry) endsLine() bool { return len(e.Log) > 0 && e.Log[len(e.Log)-1] == '\n' }

// appendRecord encodes a record like json.Marshal but four times as fast. tail
// is everything after the text, which is the same for many entries.
func appendRecord(to, text []byte, tail string) []byte {
	to = append(to, `{"log":"`...)
	to = appendEscaped(to, text)
	return append(to, tail...)
}

func recordTail(stream string, now time.Time) string {
	return fmt.Sprintf(`","stream":"%s","time":"%s"}`+"\n", stream, now.UTC().Format(time.RFC3339Nano))
}

// appendEscaped writes text as the inside of a JSON string. Bytes that are not
// UTF-8 become U+FFFD, as in Docker, because JSON cannot express them.
func appendEscaped(to, text []byte) []byte {
	const hex = "0123456789abcdef"
	done := 0
	for i := 0; i < len(text); {
		b := text[i]
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				to = append(append(to, text[done:i]...), `\ufffd`...)
				done = i + 1
			}
			i += size
			continue
		}
		if b >= ' ' && b != '"' && b != '\\' {
			i++
			continue
		}
		to = append(to, text[done:i]...)
		switch b {
		case '"', '\\':
			to = append(to, '\\', b)
		case '\n':
			to = append(to, '\\', 'n')
		default:
			to = append(to, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
		i++
		done = i
	}
	return append(to, text[done:]...)
}

// decode reads a record. After a crash a record may have half of another one in
// front of it, or a block of zeros whose data never reached the disk. decode
// then returns the last record in the line, or nil if there is none, and
// damaged is true.
func decode(line []byte) (e *Entry, damaged bool) {
	if e := decodeWhole(line); e != nil {
		return e, false
	}
	if i := bytes.LastIndex(line, []byte(`{"log":"`)); i > 0 { // inside a text the quotes would be escaped
		return decodeWhole(line[i:]), true
	}
	return nil, true
}

func decodeWhole(line []byte) *Entry {
	e := new(Entry)
	if err := json.Unmarshal(line, e); err != nil || e.Time.IsZero() || e.Stream != "stdout" && e.Stream != "stderr" {
		return nil
	}
	return e
}
