// Package registry pulls images from registries: OCI distribution
// specification, "Pull". A library handles the registry's authentication:
// logging in, or fetching a token.
//
// The ladder has no rung for it; what happens to a pulled image comes from
// 09-image.
package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"example.com/go-docker/day5-networks/image"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A client reads one repository of one registry. Pulling takes two kinds of
// requests:
//
//	GET /v2/library/busybox/manifests/latest     a manifest or an index, by tag or digest
//	GET /v2/library/busybox/blobs/sha256:...     a configuration or a layer
type client struct {
	http *http.Client
	url  string // of the repository
	host string
}

// accepted lists the types of manifests that we can read.
var accepted = strings.Join([]string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
}, ", ")

// open asks the registry how to authenticate, and uses the credentials that
// docker login or podman login has stored.
func open(ctx context.Context, ref image.Reference, insecure []string) (*client, error) {
	var options []name.Option
	if slices.Contains(insecure, ref.Domain) {
		options = append(options, name.Insecure)
	}
	host, err := name.NewRegistry(ref.Domain, options...)
	if err != nil {
		return nil, err
	}
	credentials, err := authn.Resolve(ctx, authn.DefaultKeychain, host)
	if err != nil {
		return nil, fmt.Errorf("find credentials for %s: %w", ref.Domain, err)
	}
	c := &client{url: fmt.Sprintf("%s://%s/v2/%s/", host.Scheme(), host.RegistryStr(), ref.Path), host: host.RegistryStr()}
	scope := "repository:" + ref.Path + ":" + transport.PullScope
	return c, retry(ctx, func() error {
		authenticated, err := transport.NewWithContext(ctx, host, credentials, newTransport(insecure), []string{scope})
		c.http = &http.Client{Transport: authenticated}
		return err
	})
}

// document fetches a manifest, an index or a configuration. With a zero digest,
// any content will do.
func (c *client) document(ctx context.Context, path string, digest v1.Hash) (text []byte, kind types.MediaType, err error) {
	err = retry(ctx, func() error {
		response, err := c.get(ctx, path)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		mediaType, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
		kind = types.MediaType(mediaType)
		text, err = io.ReadAll(response.Body) // limited by newTransport
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(text) > image.MaxDocument {
		return nil, "", fmt.Errorf("%s is longer than %d bytes", path, image.MaxDocument)
	}
	if sum := image.SHA256(text); digest != (v1.Hash{}) && sum != digest {
		return nil, "", fmt.Errorf("what %s sent for %s is damaged: its digest is %s", c.host, path, sum)
	}
	return text, kind, nil
}

// get sends one request. A status other than 200 is an error.
func (c *client) get(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accepted)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		response.Body.Close()
		return nil, err
	}
	return response, nil
}
