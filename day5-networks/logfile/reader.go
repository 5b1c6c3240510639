package logfile

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// A Query is the part of a log that somebody wants.
type Query struct {
	Tail         int       // so many lines at the end; negative: all
	Since, Until time.Time // zero: from the first, to the last
	Follow       bool      // wait for more
}

const shortPause, longPause = time.Millisecond, 100 * time.Millisecond // between two looks for more

var errUntil = errors.New("the rest is later")

// Read calls each for every entry, the oldest first. With Follow it returns
// when ended says that nothing more will be written, or ctx is done. A record
// that is damaged is skipped and reported as lost. A log that is not there is
// an empty one.
//
// A reader that follows has its files open, so it loses none to rotation unless
// a whole file comes and goes between two of its looks.
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

	files []*opened // the first is being read
	lines *bufio.Reader
	line  []byte // the beginning of one whose end is not there yet
	lost  bool   // it is too long to be a record
}

// all reads one file after the other, and the last one again and again.
func (r *reader) all() error {
	pause := shortPause
	for {
		// Asked before reading: what was written before the end is then read.
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

// next goes to the file after this one, if there is one. The rest of this one
// is read before: what was written between drain and rotation.
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

// drain reads what there is in the file, and tells whether there was anything.
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

// entry passes on what is in the line, be it one that has no end and will not
// get one.
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
