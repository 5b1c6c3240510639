package layer

import (
	"errors"
	"io"
	"sync/atomic"
)

// A Quota is how much of an image may still be unpacked. Its layers share it,
// because they are unpacked at the same time. A layer of one megabyte can
// unpack to a thousand times as much, or to a million empty files.
type Quota struct {
	Bytes, Entries int64
}

// NewQuota returns the quota of one image: 64 GiB and four million files.
func NewQuota() *Quota { return &Quota{Bytes: 64 << 30, Entries: 4 << 20} }

var (
	errTooManyBytes   = errors.New("the image unpacks to more bytes than is allowed")
	errTooManyEntries = errors.New("the image has more files than is allowed")
)

func (q *Quota) takeBytes(n int64) error {
	if atomic.AddInt64(&q.Bytes, -n) < 0 {
		return errTooManyBytes
	}
	return nil
}

func (q *Quota) takeEntry() error {
	if atomic.AddInt64(&q.Entries, -1) < 0 {
		return errTooManyEntries
	}
	return nil
}

// Metered counts the bytes of the tar itself against a quota, so that endless
// extended headers, or zeros after its end, hit the quota, too.
func Metered(r io.Reader, q *Quota) io.Reader { return meteredReader{r, q} }

type meteredReader struct {
	r     io.Reader
	quota *Quota
}

func (m meteredReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if over := m.quota.takeBytes(int64(n)); over != nil {
		return 0, over
	}
	return n, err
}
