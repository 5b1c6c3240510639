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
	"time"

	"example.com/go-docker/day3-images/image"
)

type contextKey string

// isBlob marks a request whose answer may be long.
const isBlob contextKey = "blob"

const (
	stallTimeout = time.Minute // without a single byte
	maxErrorText = 256         // of what a registry says why not
)

// newTransport is HTTP as we want it: nothing waits for ever, no answer but a
// blob is read without a limit, and only hosts that were named, and this
// machine itself, may do without TLS.
func newTransport(insecure []string) http.RoundTripper {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DialContext = dial
	base.DisableCompression = true // a digest is of the bytes as they are stored
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.URL.Scheme == "http" && !mayBePlain(request.URL, insecure) {
			return nil, plainError{request.URL.Host}
		}
		response, err := base.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		b := body{response.Body, response.Body}
		switch {
		case response.StatusCode >= 400:
			b.Reader = io.LimitReader(b.Reader, maxErrorText)
		case request.Context().Value(isBlob) == nil:
			b.Reader = io.LimitReader(b.Reader, image.MaxDocument+1)
		}
		response.Body = b
		return response, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	connection, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, network, address)
	return impatient{connection}, err
}

// An impatient connection fails when nothing comes any more.
type impatient struct{ net.Conn }

func (c impatient) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// mayBePlain follows Docker: 127.0.0.0/8, ::1 and localhost are this machine.
func mayBePlain(u *url.URL, insecure []string) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip.IsLoopback() || slices.Contains(insecure, u.Host)
}

type plainError struct{ host string }

func (e plainError) Error() string {
	return fmt.Sprintf("%s speaks plain http, which anybody on the way can change: if you want that, use --insecure-registry %s", e.host, e.host)
}

// A body tells a connection that broke off from what was wrong with what came.
type body struct {
	io.Reader
	io.Closer
}

var errBrokeOff = errors.New("the connection broke off")

func (b body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", errBrokeOff, err)
	}
	return n, err
}
