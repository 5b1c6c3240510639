// Package registry pulls images from registries: the OCI distribution
// specification, "Pull".
//
// The ladder has no rung for it; what becomes of an image is 09-image's.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/go-docker/day4-lifecycle/image"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"
)

// A registry is one repository of one registry. To pull takes two kinds of
// requests, and this file is about them (OCI distribution specification, "Pull"):
//
//	GET /v2/library/busybox/manifests/latest     a manifest or an index, by tag or digest
//	GET /v2/library/busybox/blobs/sha256:...     a configuration or a layer
type registry struct {
	client *http.Client
	url    string // of the repository
	host   string
}

// accepted are the kinds of manifests that we can read.
var accepted = []string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
}

const (
	tries        = 5
	firstPause   = 300 * time.Millisecond // then twice as long each time
	stallTimeout = time.Minute            // without a single byte
	maxErrorText = 256                    // of what a registry says why not
)

// openRegistry asks the registry who may read. The answer may be a challenge to
// log in or to fetch a token: the library meets it, with the credentials that
// docker login or podman login has left.
func openRegistry(ctx context.Context, ref image.Reference, insecure []string) (*registry, error) {
	var options []name.Option
	if slices.Contains(insecure, ref.Domain) {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(ref.Repository(), options...)
	if err != nil {
		return nil, err
	}
	credentials, err := authn.Resolve(ctx, authn.DefaultKeychain, repository)
	if err != nil {
		return nil, fmt.Errorf("find credentials for %s: %w", ref.Domain, err)
	}
	var authenticated http.RoundTripper
	err = retry(ctx, func() (err error) {
		authenticated, err = transport.NewWithContext(ctx, repository.Registry, credentials,
			newTransport(insecure), []string{repository.Scope(transport.PullScope)})
		return err
	})
	if err != nil {
		return nil, explainRegistry(ref, err)
	}
	r := &registry{
		client: &http.Client{Transport: authenticated},
		host:   repository.RegistryStr(),
	}
	r.url = fmt.Sprintf("%s://%s/v2/%s", repository.Scheme(), r.host, repository.RepositoryStr())
	return r, nil
}

// manifest fetches a manifest or an index by tag or digest.
func (r *registry) manifest(ctx context.Context, id string) (text []byte, mediaType types.MediaType, err error) {
	err = retry(ctx, func() error {
		response, err := r.get(ctx, "manifests/"+id, http.Header{"Accept": {strings.Join(accepted, ", ")}})
		if err != nil {
			return err
		}
		defer response.Body.Close()
		kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
		mediaType = types.MediaType(kind)
		text, err = io.ReadAll(io.LimitReader(response.Body, image.MaxDocument+1))
		if len(text) > image.MaxDocument {
			return fmt.Errorf("the manifest is longer than %d bytes", image.MaxDocument)
		}
		return err
	})
	return text, mediaType, err
}

// get sends one request. A status other than 200 and 206 is an error.
func (r *registry) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(response, http.StatusOK, http.StatusPartialContent); err != nil {
		response.Body.Close()
		return nil, err
	}
	return response, nil
}

// retry tries again, after a pause that doubles, what may go better the next
// time.
func retry(ctx context.Context, try func() error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := try()
		if err == nil || n == tries || !temporary(err) || ctx.Err() != nil {
			return err
		}
		logrus.Infof("trying again in %v: %v", pause, err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

func sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}

// temporary tells the network's and the server's bad moments from answers that
// will not change.
func temporary(err error) bool {
	var status *transport.Error
	if errors.As(err, &status) {
		return status.StatusCode >= 500 || status.StatusCode == http.StatusTooManyRequests || status.StatusCode == http.StatusRequestTimeout
	}
	var unknown *net.DNSError
	if errors.As(err, &unknown) && unknown.IsNotFound {
		return false
	}
	var certificate *tls.CertificateVerificationError
	var plain plainError
	if errors.As(err, &certificate) || errors.As(err, &plain) {
		return false
	}
	var network net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.As(err, &network)
}

// newTransport is HTTP as we want it: nothing waits for ever, no answer but a
// blob is read without a limit, and only hosts that were named, and this
// machine itself, may do without TLS.
func newTransport(insecure []string) http.RoundTripper {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.ResponseHeaderTimeout = stallTimeout
	base.DisableCompression = true // a digest is of the bytes as they are stored
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.URL.Scheme == "http" && !mayBePlain(request.URL, insecure) {
			return nil, plainError{request.URL.Host}
		}
		response, err := base.RoundTrip(request)
		switch {
		case err != nil:
			return nil, err
		case response.StatusCode >= 400:
			response.Body = limitBody(response.Body, maxErrorText)
		case request.Context().Value(isBlob) == nil:
			response.Body = limitBody(response.Body, image.MaxDocument+1)
		}
		return response, nil
	})
}

type plainError struct{ host string }

func (e plainError) Error() string {
	return fmt.Sprintf("%s speaks plain http, which anybody on the way can change: if you want that, use --insecure-registry %s", e.host, e.host)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// mayBePlain follows Docker: 127.0.0.0/8, ::1 and localhost are this machine.
func mayBePlain(u *url.URL, insecure []string) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip.IsLoopback() || slices.Contains(insecure, u.Host)
}

func limitBody(body io.ReadCloser, n int64) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(body, n), body}
}

func explainRegistry(ref image.Reference, err error) error {
	var status *transport.Error
	var unknown *net.DNSError
	var plain plainError
	switch {
	case errors.As(err, &plain):
		return plain
	case errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%s does not let us have it, or it does not exist: docker login or podman login, or check the name: %w", ref.Domain, err)
	case errors.As(err, &status) && status.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s does not have it: %w", ref.Domain, err)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: offline? load and import take images from files", err)
	}
	return err
}
