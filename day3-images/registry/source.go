package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.com/go-docker/day3-images/image"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"
)

// maxTries is how often we ask for what may come the next time: after 0.3, 0.6,
// 1.2 and 2.4 seconds.
const maxTries = 5

// A source is one repository of one registry, which may ask for the credentials
// that docker login or podman login has left. Pulling takes two kinds of requests:
//
//	GET /v2/library/busybox/manifests/latest     a manifest or an index, by tag or digest
//	GET /v2/library/busybox/blobs/sha256:...     a configuration or a layer
type source struct {
	name.Repository
	*remote.Puller
}

func newSource(ref image.Reference, insecure []string) (*source, error) {
	var options []name.Option
	if slices.Contains(insecure, ref.Domain) {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(ref.Repository(), options...)
	if err != nil {
		return nil, err
	}
	puller, err := remote.NewPuller(
		remote.WithTransport(newTransport(insecure)),
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithRetryBackoff(remote.Backoff{Duration: 300 * time.Millisecond, Factor: 2, Steps: maxTries}),
		remote.WithRetryStatusCodes(http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout))
	return &source{repository, puller}, err
}

// manifest returns the manifest for the platform, and the digest of what the
// name stands for: of that manifest, or of an index it was chosen from.
func (s *source) manifest(ctx context.Context, ref image.Reference, platform v1.Platform) (text []byte, m *v1.Manifest, digest v1.Hash, err error) {
	var named name.Reference = s.Tag(ref.Tag)
	if ref.Tag == "" {
		named = s.Digest(ref.Digest.String())
	}
	text, kind, err := s.document(ctx, named)
	if err != nil {
		return nil, nil, digest, err
	}
	digest = image.SHA256(text)
	text, m, err = image.ChooseManifest(text, kind, platform, func(d v1.Descriptor) ([]byte, error) {
		if d.MediaType.IsConfig() {
			return s.config(ctx, d)
		}
		text, _, err := s.document(ctx, s.Digest(d.Digest.String()))
		return text, err
	})
	return text, m, digest, err
}

func (s *source) document(ctx context.Context, ref name.Reference) ([]byte, types.MediaType, error) {
	got, err := s.Get(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	if len(got.Manifest) > image.MaxDocument {
		return nil, "", fmt.Errorf("the manifest is longer than %d bytes", image.MaxDocument)
	}
	kind, _, _ := strings.Cut(string(got.MediaType), ";")
	return got.Manifest, types.MediaType(kind), nil
}

func (s *source) config(ctx context.Context, d v1.Descriptor) (text []byte, err error) {
	if d.Size > image.MaxDocument {
		return nil, fmt.Errorf("the image's configuration is longer than %d bytes", image.MaxDocument)
	}
	err = whole(ctx, func() error {
		content, err := s.blob(ctx, d)
		if err != nil {
			return err
		}
		defer content.Close()
		text, err = io.ReadAll(content)
		return err
	})
	return text, err
}

// whole has get get what breaks off again from its beginning: the library asks
// again only if no answer comes.
func whole(ctx context.Context, get func() error) error {
	for tries := 1; ; tries++ {
		err := get()
		if !errors.Is(err, errBrokeOff) || tries == maxTries || ctx.Err() != nil {
			return err
		}
		logrus.Infof("trying again: %v", err)
	}
}

// blob returns a reader of a blob's content, which is verified at its end: its
// digest by the library, its size, which registries need not say, here.
func (s *source) blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	layer, err := s.Layer(context.WithValue(ctx, isBlob, true), s.Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	content, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	return &sized{content, d, d.Size}, nil
}

type sized struct {
	io.ReadCloser
	blob v1.Descriptor
	left int64
}

func (s *sized) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.left -= int64(n); s.left < 0 || err == io.EOF && s.left > 0 {
		return 0, fmt.Errorf("the registry's blob %s does not have %d bytes", s.blob.Digest, s.blob.Size)
	}
	return n, err
}

// explain says what the user can do.
func explain(ref image.Reference, err error) error {
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
