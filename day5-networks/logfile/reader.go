package logfile

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// A Query says which part of a log to read.
type Query struct {
	Tail         int       // lines from the end; negative: all
	Since, Until time.Time // zero: from the first or to the last
	Follow       bool      // wait for more
}

const shortPause, longPause = time.Millisecond, 100 * time.Millisecond // between checks for more

var errUntil = errors.New("the rest is later")

// Read calls each for every entry, oldest first. With Follow, it returns when
// ended reports that nothing more will be written or when ctx is done. Damaged
// records are skipped and reported as lost. A missing log counts as empty.
//
// A reader that follows keeps its files open, so it loses entries to rotation
// only if a whole file comes and goes between two of its checks.
func Read(ctx context.Context, path string, q Query, ended func() bool, each func(*Entry) error) error {
	files, err := openNewer(path, nil)
	if err != nil {
		return err
	}
	r := &reader{ctx: ctx, path: path, query: q, ended: ended, each: each}
	defer func() { closeAll(r.files) }()
	r.files = files
	if q.Tail >= 0 {
		if err := r.skipToTail(); err != nil {
			return err
		}
	}
	if err := r.all(); !errors.Is(err, errUntil) {
		return err
	}
	return nil
}

type reader struct {
	ctx   context.Context
	path  string
	query Query
	ended func() bool
	each  func(*Entry) error

	files []*opened // the first one is being read
	lines *bufio.Reader
	line  []byte // the start of a line whose end has not been written yet
	lost  bool   // line is too long to be a record
}

// all reads one file after another, and the last one again and again.
func (r *reader) all() error {
	pause := shortPause
	for {
		// Asked before reading, so that everything written before the end is
		// read.
		last := !r.query.Follow || r.ended()
		got, err := r.drain()
		if err != nil {
			return err
		}
		more, err := r.next()
		if err != nil {
			return err
		}
		switch {
		case more:
			continue
		case last:
			return r.entry()
		case got:
			pause = shortPause
		}
		if !r.query.Until.IsZero() && time.Now().After(r.query.Until) {
			return nil
		}
		select {
		case <-r.ctx.Done():
			return nil
		case <-time.After(pause):
			pause = min(2*pause, longPause)
		}
	}
}

// next moves on to the next file, if there is one. First it reads the rest of
// this one, which was written between drain and rotation.
func (r *reader) next() (bool, error) {
	if len(r.files) > 0 {
		if info, err := os.Stat(r.path); len(r.files) == 1 && (err != nil || os.SameFile(info, r.files[0].info)) {
			return false, nil
		}
		if _, err := r.drain(); err != nil {
			return false, err
		}
	}
	if len(r.files) <= 1 {
		var current *opened
		if len(r.files) == 1 {
			current = r.files[0]
		}
		newer, err := openNewer(r.path, current)
		if err != nil || len(newer) == 0 {
			return false, err
		}
		r.files = append(r.files, newer...)
		if current == nil {
			return true, nil
		}
	}
	if err := r.entry(); err != nil {
		return false, err
	}
	closeAll(r.files[:1])
	r.files, r.lines = r.files[1:], nil
	return true, nil
}

// drain reads what is in the file, and reports whether there was anything.
func (r *reader) drain() (got bool, err error) {
	if len(r.files) == 0 {
		return false, nil
	}
	if r.lines == nil {
		r.lines = bufio.NewReaderSize(r.files[0], readSize)
	}
	for r.ctx.Err() == nil {
		part, err := r.lines.ReadSlice('\n')
		got = got || len(part) > 0
		if len(r.line)+len(part) > longestRecord {
			r.line, r.lost = nil, true
		} else if !r.lost {
			r.line = append(r.line, part...)
		}
		switch {
		case err == io.EOF:
			return got, nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return got, err
		}
		if err := r.entry(); err != nil {
			return got, err
		}
	}
	return got, nil
}

// entry passes on the record in the line, even if the line will never be
// complete.
func (r *reader) entry() error {
	if len(r.line) == 0 && !r.lost {
		return nil
	}
	e, damaged := decode(r.line)
	r.line, r.lost = r.line[:0], false
	if damaged {
		if err := r.each(&Entry{Lost: 1, Why: "damaged record"}); err != nil {
			return err
		}
	}
	switch {
	case e == nil || e.Time.Before(r.query.Since):
		return nil
	case !r.query.Until.IsZero() && e.Time.After(r.query.Until):
		return errUntil
	}
	return r.each(e)
}
