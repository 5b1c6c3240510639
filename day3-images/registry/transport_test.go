package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// We wait as long as an overloaded registry asks, but at most a minute.
func TestObey(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		after  func() string
		want   time.Duration
	}{
		"seconds":          {429, func() string { return "7" }, 7 * time.Second},
		"unavailable":      {503, func() string { return "7" }, 7 * time.Second},
		"a date":           {429, func() string { return time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat) }, 9 * time.Second},
		"a date gone by":   {429, func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, 0},
		"an hour":          {429, func() string { return "3600" }, time.Minute},
		"an hour's date":   {503, func() string { return time.Now().Add(time.Hour).UTC().Format(http.TimeFormat) }, time.Minute},
		"nothing":          {429, func() string { return "" }, 0},
		"neither":          {429, func() string { return "soon" }, 0},
		"less than now":    {429, func() string { return "-1" }, 0},
		"another status":   {500, func() string { return "7" }, 0},
		"moved, not there": {301, func() string { return "7" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				if err := obey(t.Context(), answer(test.status, test.after())); err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(start); waited != test.want {
					t.Errorf("waited %v, want %v", waited, test.want)
				}
			})
		})
	}
}

// ^C ends the wait.
func TestObeyInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		interrupted := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(interrupted) })
		start := time.Now()
		if err := obey(ctx, answer(429, "30")); !errors.Is(err, interrupted) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func answer(status int, after string) *http.Response {
	header := http.Header{}
	if after != "" {
		header.Set("Retry-After", after)
	}
	return &http.Response{StatusCode: status, Header: header, Request: httptest.NewRequest(http.MethodGet, "http://registry.test/v2/", nil)}
}

// A connection on which nothing happens fails after a minute, and each request
// starts the minute again.
func TestImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		go io.Copy(io.Discard, there)
		c := impatient{here}
		defer c.Close()
		time.AfterFunc(40*time.Second, func() { c.Write([]byte("GET /v2/ HTTP/1.1\r\n\r\n")) })
		start := time.Now()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(start); waited != 100*time.Second {
			t.Errorf("waited %v, want 1m40s", waited)
		}
		waited := time.Now()
		time.AfterFunc(50*time.Second, func() { there.Write([]byte("x")) })
		if _, err := c.Read(make([]byte, 1)); err != nil || time.Since(waited) != 50*time.Second {
			t.Errorf("after %v: %v", time.Since(waited), err)
		}
	})
}
