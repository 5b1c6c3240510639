package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"example.com/go-docker/day4-lifecycle/image"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/sirupsen/logrus"
)

// retry tries again after a temporary error: up to four times, after 0.3, 0.6,
// 1.2 and 2.4 seconds.
func retry(ctx context.Context, try func() error) error {
	const tries = 5
	pause := 300 * time.Millisecond
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

// temporary distinguishes passing trouble of the network or the server from
// answers that will not change.
func temporary(err error) bool {
	var status *transport.Error
	if errors.As(err, &status) {
		return status.StatusCode >= 500 || status.StatusCode == http.StatusTooManyRequests || status.StatusCode == http.StatusRequestTimeout
	}
	var unknown *net.DNSError
	var certificate *tls.CertificateVerificationError
	var plain plainError
	if errors.As(err, &unknown) && unknown.IsNotFound || errors.As(err, &certificate) || errors.As(err, &plain) {
		return false
	}
	var request *url.Error
	return errors.As(err, &request)
}

// explain adds what the user can do.
func explain(ref image.Reference, err error) error {
	var status *transport.Error
	var unknown *net.DNSError
	switch {
	case errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%s refuses access, or it does not exist: docker login or podman login, or check the name: %w", ref.Domain, err)
	case errors.As(err, &status) && status.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s does not have it: %w", ref.Domain, err)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: offline? load and import take images from files", err)
	}
	return err
}
