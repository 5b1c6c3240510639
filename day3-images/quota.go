package main

import (
	"errors"
	"io"
	"sync/atomic"
)

// A quota is what may still be unpacked of an image. Its layers share it, and
// they are unpacked at the same time. A layer of one megabyte can hold a
// thousand times as much, or nothing but a million empty files.
type quota struct {
	bytes, entries int64
}

var (
	errTooManyBytes   = errors.New("the image unpacks to more bytes than is allowed")
	errTooManyEntries = errors.New("the image has more files than is allowed")
)

func (q *quota) takeBytes(n int64) error {
	if atomic.AddInt64(&q.bytes, -n) < 0 {
		return errTooManyBytes
	}
	return nil
}

func (q *quota) takeEntry() error {
	if atomic.AddInt64(&q.entries, -1) < 0 {
		return errTooManyEntries
	}
	return nil
}

// A meteredReader counts the tar itself, so that endless extended headers or
// zeros behind its end meet the quota too.
type meteredReader struct {
	r     io.Reader
	quota *quota
}

func (m meteredReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if over := m.quota.takeBytes(int64(n)); over != nil {
		return 0, over
	}
	return n, err
}
