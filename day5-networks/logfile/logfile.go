// Package logfile is a container's log: what it has said, when, and on which
// stream. It grew from rung 05-logs, plus: a full disk, which costs entries but
// neither the container nor the log; rotation; a reader that follows over one,
// skips what is damaged and says so, and finds the last lines without reading
// the rest.
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

// Longest is the number of bytes of a line, its newline included, that one
// entry holds. A longer line becomes several entries, as with Docker.
const Longest = 16 << 10

// longestRecord bounds what a reader takes for one record: each byte may be
// escaped, as \u0000, and the rest is short.
const longestRecord = 6*Longest + 1<<10

// An Entry is a line, or a piece of one; or, with Lost set, a gap.
type Entry struct {
	Log    string    `json:"log"`    // with its newline; without, the line goes on in the stream's next entry
	Stream string    `json:"stream"` // stdout or stderr
	Time   time.Time `json:"time"`   // UTC
	Lost   int       `json:"lost,omitempty"`
	Why    string    `json:"why,omitempty"` // why so many entries are lost here
}

// endsLine tells whether the stream's next entry begins a line.
func (e *Entry) endsLine() bool { return len(e.Log) > 0 && e.Log[len(e.Log)-1] == '\n' }

// appendRecord encodes by hand what json.Marshal would, at four times its
// speed. tail is everything after the text: it is the same for many entries.
func appendRecord(to, text []byte, tail string) []byte {
	to = append(to, `{"log":"`...)
	to = appendEscaped(to, text)
	return append(to, tail...)
}

func recordTail(stream string, now time.Time) string {
	return fmt.Sprintf(`","stream":"%s","time":"%s"}`+"\n", stream, now.UTC().Format(time.RFC3339Nano))
}

// appendEscaped writes text as the inside of a JSON string. Bytes that are not
// UTF-8 become U+FFFD, as with Docker: JSON has no others.
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
// front of it, or a block of zeros that never reached the disk: then the last
// record in the line is taken, and damaged is true. nil: there is none.
func decode(line []byte) (e *Entry, damaged bool) {
	if e := decodeWhole(line); e != nil {
		return e, false
	}
	if i := bytes.LastIndex(line, []byte(`{"log":"`)); i > 0 { // inside of a text the quotes are escaped
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
