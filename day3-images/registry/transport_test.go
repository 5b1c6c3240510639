package registry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
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
