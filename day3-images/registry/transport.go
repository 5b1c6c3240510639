package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"example.com/go-docker/day3-images/image"
	"github.com/sirupsen/logrus"
)

// isLayer marks the context of a request whose response may be long.
type isLayer struct{}

const (
	stallTimeout = time.Minute // without a single byte
	maxWait      = time.Minute // when a registry asks us to wait
	maxErrorText = 256         // of a registry's error message
)

// newTransport is HTTP as we want it: nothing waits forever, every response
// except a layer is limited in size, and only this machine and the hosts that
// the user named may do without TLS.
func newTransport(insecure []string) http.RoundTripper {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DisableCompression = true // a digest is of the bytes as they are stored
	dial := base.DialContext
	base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		return impatient{c}, err
	}
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.URL.Scheme == "http" && !mayBePlain(request.URL, insecure) {
			return nil, plainError{request.URL.Host}
		}
		response, err := base.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		if err := obey(request.Context(), response); err != nil {
			return nil, errors.Join(err, response.Body.Close())
		}
		limit := int64(image.MaxDocument + 1)
		switch {
		case response.StatusCode >= 400:
			limit = maxErrorText
		case request.Context().Value(isLayer{}) != nil:
			limit = math.MaxInt64 // its descriptor has the size
		}
		response.Body = body{io.LimitReader(response.Body, limit), response.Body, request.URL.Host}
		return response, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// obey waits as long as an overloaded registry asks us to, but at most a
// minute. RFC 9110, 10.2.3
func obey(ctx context.Context, response *http.Response) error {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return nil
	}
	var wait time.Duration
	after := response.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(after, 10, 16); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(after); err == nil {
		wait = time.Until(date)
	}
	if wait = min(wait, maxWait); wait <= 0 {
		return nil
	}
	logrus.Infof("%s asks us to wait: %v", response.Request.URL.Host, wait.Round(time.Second))
	return sleep(ctx, wait)
}

// An impatient connection fails if the other end neither sends nor takes
// anything for a while. Each request that is written renews the time for the
// answer that somebody is reading already.
type impatient struct{ net.Conn }

func (c impatient) Read(p []byte) (int, error) {
	_ = c.SetDeadline(time.Now().Add(stallTimeout)) // fails only on a closed connection, as Read does then
	return c.Conn.Read(p)
}

func (c impatient) Write(p []byte) (int, error) {
	_ = c.SetDeadline(time.Now().Add(stallTimeout))
	return c.Conn.Write(p)
}

// A body reports a connection that breaks off in the same way as the library
// reports one that was never made.
type body struct {
	io.Reader
	io.Closer
	host string
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = &url.Error{Op: "Read", URL: b.host, Err: err}
	}
	return n, err
}

// mayBePlain reports whether a host may use plain HTTP. As in Docker,
// 127.0.0.0/8, ::1 and localhost may, being this machine.
func mayBePlain(u *url.URL, insecure []string) bool {
	return u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback() || slices.Contains(insecure, u.Host)
}

type plainError struct{ host string }

func (e plainError) Error() string {
	return fmt.Sprintf("%s would be asked by plain http, which anybody on the way can change: if you want that, use --insecure-registry %s", e.host, e.host)
}
