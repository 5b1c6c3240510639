package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"example.com/go-docker/day4-lifecycle/image"
	"github.com/sirupsen/logrus"
)

type contextKey string

// isBlob marks a request whose response may be long.
const isBlob contextKey = "blob"

const (
	stallTimeout = time.Minute // without a single byte
	maxWait      = time.Minute // when a registry asks us to wait
	maxErrorText = 256         // of a registry's error message
)

// newTransport is HTTP as we want it: nothing waits forever, every response
// except a blob is limited in size, and only this machine and the hosts that
// the user named may do without TLS.
func newTransport(insecure []string) http.RoundTripper {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.ResponseHeaderTimeout = stallTimeout
	base.DisableCompression = true // a digest is of the bytes as they are stored
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.URL.Scheme == "http" && !mayBePlain(request.URL, insecure) {
			return nil, plainError{request.URL.Host}
		}
		ctx, cancel := context.WithCancelCause(request.Context())
		response, err := base.RoundTrip(request.WithContext(ctx))
		if err != nil {
			cancel(nil)
			return nil, err
		}
		if err := obey(ctx, response); err != nil {
			cancel(nil)
			return nil, errors.Join(err, response.Body.Close())
		}
		b := &body{ReadCloser: response.Body, ctx: ctx, cancel: cancel, host: request.URL.Host, left: -1}
		switch {
		case response.StatusCode >= 400:
			b.left = maxErrorText
		case ctx.Value(isBlob) == nil:
			b.left = image.MaxDocument + 1
		}
		response.Body = b
		return response, nil
	})
}

// obey waits as long as an overloaded registry asks us to, but at most a
// minute. RFC 9110, 10.2.3
func obey(ctx context.Context, response *http.Response) error {
	after := response.Header.Get("Retry-After")
	if after == "" || response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return nil
	}
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(after, 10, 16); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(after); err == nil {
		wait = time.Until(date)
	}
	if wait = min(wait, maxWait); wait <= 0 {
		return nil
	}
	logrus.Infof("%s asks us to wait: %v", response.Request.URL.Host, wait.Round(time.Second))
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(wait):
		return nil
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// A body fails after too many bytes, or when no more arrive.
type body struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	host   string
	left   int64 // -1: any number
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	stalled := time.AfterFunc(stallTimeout, func() { b.cancel(stallError(b.host)) })
	n, err := b.ReadCloser.Read(p)
	stalled.Stop()
	if b.left > 0 {
		b.left -= int64(n)
	}
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case b.ctx.Err() != nil:
		return n, context.Cause(b.ctx)
	}
	return n, transferError{err}
}

func (b *body) Close() error {
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// mayBePlain reports whether a host may use plain HTTP. As in Docker,
// 127.0.0.0/8, ::1 and localhost may, being this machine.
func mayBePlain(u *url.URL, insecure []string) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip.IsLoopback() || slices.Contains(insecure, u.Host)
}

type plainError struct{ host string }

func (e plainError) Error() string {
	return fmt.Sprintf("%s speaks plain http, which anybody on the way can change: if you want that, use --insecure-registry %s", e.host, e.host)
}

// A transferError means that a connection broke off.
type transferError struct{ error }

func (e transferError) Unwrap() error { return e.error }

type stallError string

func (host stallError) Error() string {
	return fmt.Sprintf("%s sent nothing for %v", string(host), stallTimeout)
}
